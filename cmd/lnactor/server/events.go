package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

const (
	longestWait = 50 * time.Second // of NextEvents: less than what proxies and the call's own limit allow
	mostEvents  = 1000             // of NextEvents
)

// refusals are the errors of the feed, as the table `known` has those of the node.
var refusals = []struct {
	err    error
	code   connect.Code
	reason string
	hint   string
}{
	{feed.ErrName, connect.CodeInvalidArgument, "consumer_name", ""},
	{feed.ErrNoConsumer, connect.CodeNotFound, "consumer_not_found", "'lnactor events consumers' lists them"},
	{feed.ErrWhichConsumer, connect.CodeInvalidArgument, "which_consumer", "name it; 'lnactor events consumers' lists them"},
	{feed.ErrTooMany, connect.CodeResourceExhausted, "too_many_consumers", "remove those that nobody needs"},
	{feed.ErrNoEvent, connect.CodeNotFound, "event_not_found", "check the id; events over the limit are removed"},
	{feed.ErrTakenOver, connect.CodeAborted, "taken_over", "give each reader a consumer of its own; to go on, begin a new stream"},
	{feed.ErrIsWebhook, connect.CodeFailedPrecondition, "is_webhook", ""},
	{feed.ErrNotWebhook, connect.CodeFailedPrecondition, "not_webhook", "choose another name for the webhook"},
	{feed.ErrConfigured, connect.CodeFailedPrecondition, "configured", "change it there and start the node again"},
	{feed.ErrURL, connect.CodeInvalidArgument, "webhook_url", ""},
	{feed.ErrSecret, connect.CodeInvalidArgument, "webhook_secret", "leave it out to have one made"},
	{feed.ErrClosed, connect.CodeUnavailable, "stopping", "the node is stopping"},
	{lnactor.ErrCorrupt, connect.CodeDataLoss, "consumers_damaged", "the node runs and keeps events; 'lnactor status' says what to do"},
}

// feedFailed is failed for errors of the feed.
func feedFailed(err error) error {
	var expired *feed.ExpiredError
	var missing *journal.MissingError
	switch {
	case errors.As(err, &expired):
		hint := "begin a new stream"
		if expired.Consumer != "" {
			hint = fmt.Sprintf("look at payments and channels for what it missed, then say where it goes on: lnactor events consumer set %s --start beginning", expired.Consumer)
		}
		return problem(connect.CodeFailedPrecondition, "consumer_expired", err.Error(), hint)
	case errors.As(err, &missing):
		return problem(connect.CodeDataLoss, "events_missing", fmt.Sprintf("events %d to %d are damaged or missing on the node's disk", missing.First, missing.Last),
			"look at payments and channels for what happened then, and say where the consumer goes on: lnactor events consumer set")
	}
	for _, k := range refusals {
		if errors.Is(err, k.err) {
			return problem(k.code, k.reason, err.Error(), k.hint)
		}
	}
	return failed(err)
}

// event is an event for a caller: proofs of payment are for the owner alone.
func event(ctx context.Context, e *feed.Entry) (*apiv1.Event, error) {
	var data map[string]any
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return nil, err
	}
	if scopeOf(ctx) < Full {
		delete(data, "preimage")
	}
	fields, err := structpb.NewStruct(data)
	if err != nil {
		return nil, err
	}
	return &apiv1.Event{Feed: e.Feed, Id: e.ID, Seq: e.Seq, Time: timestamppb.New(e.Time), Kind: e.Kind, Data: fields}, nil
}

// feed is the node's feed.
func (s *service) feed() (*feed.Feed, error) {
	if s.cfg.Feed == nil {
		return nil, problem(connect.CodeUnavailable, "starting", "the feed of events is not open yet", "try again")
	}
	return s.cfg.Feed, nil
}

func (s *service) NextEvents(ctx context.Context, r *apiv1.NextEventsRequest) (*apiv1.NextEventsResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	wait, limit := time.Duration(r.GetWaitSeconds())*time.Second, int(r.GetLimit())
	switch {
	case limit > mostEvents:
		return nil, invalid(fmt.Sprintf("a limit of %d", limit), fmt.Sprintf("%d are the most", mostEvents))
	case wait > longestWait:
		return nil, invalid(fmt.Sprintf("a wait of %v", wait), fmt.Sprintf("%v is the longest", longestWait))
	case limit == 0:
		limit = 100
	}
	// Not to wait at all is a deadline that has passed: what is there is returned all the same.
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(s.lasting, cancel)()
	list, err := f.Peek(waiting, r.GetConsumer(), r.GetStart(), limit)
	if err != nil && (waiting.Err() == nil || ctx.Err() != nil || !errors.Is(err, waiting.Err())) {
		return nil, feedFailed(err)
	}
	out := &apiv1.NextEventsResponse{}
	for i := range list {
		e, err := event(ctx, &list[i])
		if err != nil {
			return nil, failed(err)
		}
		out.Events = append(out.Events, e)
	}
	return out, nil
}

func (s *service) AckEvent(_ context.Context, r *apiv1.AckEventRequest) (*apiv1.AckEventResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	if r.GetId() == "" {
		return nil, invalid("no event id", "give the id of the event that was handled")
	}
	if err := f.Ack(r.GetConsumer(), r.GetId()); err != nil {
		return nil, feedFailed(err)
	}
	return &apiv1.AckEventResponse{}, nil
}

func (s *service) ListConsumers(ctx context.Context, _ *apiv1.ListConsumersRequest) (*apiv1.ListConsumersResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListConsumersResponse{}
	for _, c := range f.Consumers() {
		a := &apiv1.Consumer{
			Name: c.Name, State: string(c.State), AckedSeq: c.Acked, AckedId: c.AckedID, Lag: c.Lag, Oldest: stamp(c.Oldest),
			Streams: count(c.Streams), Created: stamp(c.Created),
		}
		if c.URL != "" {
			url := c.URL
			if scopeOf(ctx) < Full {
				url = feed.PublicURL(url)
			}
			a.Webhook = &apiv1.Webhook{
				Url: url, Configured: c.Configured, Attempts: count(c.Attempts), Error: c.Error, Retry: stamp(c.Retry), DeadLetters: count(c.DeadLetters),
			}
		}
		out.Consumers = append(out.Consumers, a)
	}
	return out, nil
}

// stamp is a time for the schema; none stays none.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func (s *service) SetConsumer(_ context.Context, r *apiv1.SetConsumerRequest) (*apiv1.SetConsumerResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	if r.GetStart() == "" {
		return nil, invalid("no start", "say beginning, end, or the id of an event")
	}
	if err := f.Set(r.GetConsumer(), r.GetStart()); err != nil {
		return nil, feedFailed(err)
	}
	return &apiv1.SetConsumerResponse{}, nil
}

func (s *service) RemoveConsumer(_ context.Context, r *apiv1.RemoveConsumerRequest) (*apiv1.RemoveConsumerResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	if err := f.Remove(r.GetConsumer()); err != nil {
		return nil, feedFailed(err)
	}
	return &apiv1.RemoveConsumerResponse{}, nil
}

func (s *service) SetWebhook(_ context.Context, r *apiv1.SetWebhookRequest) (*apiv1.SetWebhookResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	w := feed.Webhook{Name: r.GetConsumer(), URL: r.GetUrl(), Secret: r.GetSecret(), Start: r.GetStart()}
	if err := f.SetWebhook(w); err != nil {
		return nil, feedFailed(err)
	}
	return &apiv1.SetWebhookResponse{}, nil
}

func (s *service) ListDeadLetters(ctx context.Context, r *apiv1.ListDeadLettersRequest) (*apiv1.ListDeadLettersResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	list, err := f.DeadLetters(r.GetConsumer())
	if err != nil {
		return nil, feedFailed(err)
	}
	out := &apiv1.ListDeadLettersResponse{}
	for i := range list {
		e, err := event(ctx, &list[i].Entry)
		if err != nil {
			return nil, failed(err)
		}
		out.Letters = append(out.Letters, &apiv1.DeadLetter{Event: e, Attempts: count(list[i].Attempts), Error: list[i].Error, Time: stamp(list[i].Time)})
	}
	return out, nil
}

func (s *service) RetryDeadLetters(ctx context.Context, r *apiv1.RetryDeadLettersRequest) (*apiv1.RetryDeadLettersResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	taken, err := f.Retry(ctx, r.GetConsumer(), r.GetIds())
	out := &apiv1.RetryDeadLettersResponse{Taken: count(taken)}
	switch {
	case errors.Is(err, feed.ErrNotTaken):
		out.Error = err.Error()
	case err != nil:
		return nil, feedFailed(err)
	}
	return out, nil
}

func (s *service) DiscardDeadLetters(_ context.Context, r *apiv1.DiscardDeadLettersRequest) (*apiv1.DiscardDeadLettersResponse, error) {
	f, err := s.feed()
	if err != nil {
		return nil, err
	}
	n, err := f.Discard(r.GetConsumer(), r.GetIds())
	if err != nil {
		return nil, feedFailed(err)
	}
	return &apiv1.DiscardDeadLettersResponse{Discarded: count(n)}, nil
}
