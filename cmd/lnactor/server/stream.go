package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

const (
	mostStreams = 64               // at once: each costs a goroutine and a connection
	heartbeat   = 20 * time.Second // how often a stream without events says that it is alive
	sendTime    = time.Minute      // how long a client may leave what it is sent unread; then it has to come again
	lastWords   = time.Second      // for a stream's end to be told when the server ends
)

type controllerKey struct{}

// unbounded lets a stream last: no limit on the request as a whole, one on each message instead.
func unbounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.NodeTailEventsProcedure || r.URL.Path == api.NodeBackupProcedure {
			c := http.NewResponseController(w)
			_ = c.SetReadDeadline(time.Time{}) // where it can't be set there is none
			r = r.WithContext(context.WithValue(r.Context(), controllerKey{}, c))
		}
		next.ServeHTTP(w, r)
	})
}

// TailEvents streams until the client goes, the server ends, or the consumer is taken over or in trouble. A client that does not read holds back nobody:
// its stream waits for it, and ends.
func (s *service) TailEvents(ctx context.Context, r *apiv1.TailEventsRequest, stream *connect.ServerStream[apiv1.TailEventsResponse]) error {
	f, err := s.feed()
	if err != nil {
		return err
	}
	if r.GetConsumer() != "" && scopeOf(ctx) < Receive {
		return problem(connect.CodePermissionDenied, "scope", "the token has scope read, a consumer needs receive",
			"leave the consumer out, or use the token in the file token-receive")
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return problem(connect.CodeResourceExhausted, "too_many_streams", fmt.Sprintf("%d streams are open, which are the most", mostStreams), "end some, or use NextEvents")
	}
	reader, err := f.Read(r.GetConsumer(), r.GetStart())
	if err != nil {
		return feedFailed(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	controller, _ := ctx.Value(controllerKey{}).(*http.ResponseController)
	var mu sync.Mutex // the controller is dead once the handler has returned
	over := false
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
	}()
	defer context.AfterFunc(s.lasting, func() {
		cancel()
		mu.Lock()
		defer mu.Unlock()
		if controller != nil && !over {
			_ = controller.SetWriteDeadline(time.Now().Add(lastWords)) // it may be in the middle of sending
		}
	})()
	send := func(e *apiv1.Event) error {
		if controller != nil {
			_ = controller.SetWriteDeadline(time.Now().Add(sendTime))
		}
		return stream.Send(&apiv1.TailEventsResponse{Event: e, Lag: reader.Lag()})
	}
	// The first message says that the stream has begun: what happens from now on is told.
	for err = send(nil); err == nil; {
		err = s.pass(ctx, reader, send)
	}
	if s.lasting.Err() != nil {
		return feedFailed(feed.ErrClosed)
	}
	return feedFailed(err)
}

// pass waits for events and sends them, or says that there are none.
func (s *service) pass(ctx context.Context, reader *feed.Reader, send func(*apiv1.Event) error) error {
	waiting, cancel := context.WithTimeout(ctx, heartbeat)
	list, err := reader.Next(waiting, 100)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return send(nil)
	}
	if err != nil {
		return err
	}
	for i := range list {
		e, err := event(ctx, &list[i])
		if err != nil {
			return err
		}
		if err := send(e); err != nil {
			return err
		}
	}
	return nil
}
