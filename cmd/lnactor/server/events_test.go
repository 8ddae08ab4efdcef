package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// add adds events to the feed, as the node would.
func (s *served) add(t testing.TB, from, to int) {
	t.Helper()
	var list []lnactor.Event
	for n := from; n < to; n++ {
		p := lnactor.PaymentSent{AmountMsat: uint64(n)}
		for i := range p.Preimage {
			p.Preimage[i] = 0xcd
		}
		list = append(list, lnactor.Event{ID: fmt.Sprint("id/", n), Kind: p})
	}
	if _, err := s.feed.Append(list); err != nil {
		t.Fatal(err)
	}
}

type tail = connect.ServerStreamForClient[apiv1.TailEventsResponse]

// tailing begins a stream and waits for its first message, which says that it has begun.
func tailing(t testing.TB, c api.NodeClient, consumer, start string) *tail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	stream, err := c.TailEvents(ctx, &apiv1.TailEventsRequest{Consumer: consumer, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	if !stream.Receive() || stream.Msg().GetEvent() != nil {
		t.Fatal(stream.Msg(), stream.Err())
	}
	return stream
}

// expect takes the events with the numbers from a stream.
func expect(t testing.TB, stream *tail, from, to int) (last *apiv1.Event) {
	t.Helper()
	for n := from; n < to; n++ {
		if !stream.Receive() || stream.Msg().GetEvent().GetId() != fmt.Sprint("id/", n) {
			t.Fatalf("got %v %v, want %d", stream.Msg(), stream.Err(), n)
		}
		last = stream.Msg().GetEvent()
	}
	return last
}

// TestTail: the same stream over every protocol; what is acknowledged does not come again.
func TestTail(t *testing.T) {
	s := serve(t)
	s.add(t, 0, 5)
	full := s.tls(t, s.token(t, server.Full))
	h2c := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	}, Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2c.CloseIdleConnections)
	for i, client := range []api.NodeClient{
		api.NewNodeClient(s.unix, "http://x"),
		api.NewNodeClient(s.unix, "http://x", connect.WithProtoJSON()),
		api.NewNodeClient(s.unix, "http://x", connect.WithGRPCWeb()),
		api.NewNodeClient(full, "https://"+s.address, connect.WithGRPC()),
		api.NewNodeClient(&http.Client{Transport: h2c}, "http://x", connect.WithGRPC()),
	} {
		name := fmt.Sprint("c", i)
		stream := tailing(t, client, name, "id/1")
		e := expect(t, stream, 1, 5)
		if e.GetKind() != "PaymentSent" || e.GetSeq() != 5 || e.GetData().AsMap()["amount_msat"] != 4.0 || e.GetTime().AsTime().IsZero() || stream.Msg().GetLag() > 4 {
			t.Errorf("%v", e)
		}
		if _, err := client.AckEvent(t.Context(), &apiv1.AckEventRequest{Consumer: name, Id: "id/2"}); err != nil {
			t.Error(err)
		}
		next, err := client.NextEvents(t.Context(), &apiv1.NextEventsRequest{Consumer: name, Limit: 1})
		if err != nil || len(next.GetEvents()) != 1 || next.GetEvents()[0].GetId() != "id/3" {
			t.Error(next, err)
		}
		again := tailing(t, client, name, "")
		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeAborted {
			t.Errorf("%v %v", stream.Msg(), stream.Err())
		}
		if reason, hint := detail(stream.Err()); reason != "taken_over" || hint == "" {
			t.Errorf("%s %s", reason, hint)
		}
		expect(t, again, 3, 5)
	}
	list, err := api.NewNodeClient(s.unix, "http://x").ListConsumers(t.Context(), &apiv1.ListConsumersRequest{})
	if err != nil || len(list.GetConsumers()) != 5 {
		t.Fatal(list, err)
	}
	if c := list.GetConsumers()[0]; c.GetName() != "c0" || c.GetAckedSeq() != 3 || c.GetAckedId() != "id/2" || c.GetLag() != 2 || c.GetState() != "reading" || c.GetWebhook() != nil {
		t.Errorf("%v", c)
	}
}

// TestTailLive: what happens while a stream is open comes at once, to all of them.
func TestTailLive(t *testing.T) {
	s := serve(t)
	s.add(t, 0, 2)
	client := api.NewNodeClient(s.unix, "http://x")
	a, b := tailing(t, client, "a", "end"), tailing(t, client, "", "end")
	s.add(t, 2, 4)
	expect(t, a, 2, 4)
	expect(t, b, 2, 4)
	expect(t, tailing(t, client, "", ""), 0, 4)
}

// TestNextEventsWaits: the call for who can't stream, as curl would make it.
func TestNextEventsWaits(t *testing.T) {
	s := serve(t)
	const url = "http://x/lnactor.api.v1.Node/NextEvents"
	status, answer := post(t, s.unix, url, `{"consumer":"a"}`)
	if list, _ := answer["events"].([]any); status != 200 || len(list) != 0 {
		t.Fatal(status, answer)
	}
	done := make(chan map[string]any)
	go func() {
		_, answer := post(t, s.unix, url, `{"consumer":"a","waitSeconds":30}`)
		done <- answer
	}()
	s.add(t, 0, 1)
	list, _ := (<-done)["events"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["id"] != "id/0" {
		t.Fatal(list)
	}
	if status, answer = post(t, s.unix, "http://x/lnactor.api.v1.Node/AckEvent", `{"id":"id/0"}`); status != 200 {
		t.Fatal(status, answer)
	}
}

// TestProofsInEvents: preimages are for scope full alone, and a consumer for scope receive.
func TestProofsInEvents(t *testing.T) {
	s := serve(t)
	s.add(t, 0, 1)
	for scope, shown := range map[server.Scope]bool{server.Full: true, server.Receive: false, server.Read: false} {
		client := api.NewNodeClient(s.tls(t, s.token(t, scope)), "https://"+s.address)
		if e := expect(t, tailing(t, client, "", ""), 0, 1); strings.Contains(e.String(), "cdcd") != shown || e.GetData().AsMap()["payment_hash"] == nil {
			t.Errorf("%s: %v", scope, e)
		}
		next, err := client.NextEvents(t.Context(), &apiv1.NextEventsRequest{Consumer: scope.String()})
		if scope > server.Read && (err != nil || strings.Contains(next.String(), "cdcd") != shown) {
			t.Errorf("%s: %v %v", scope, next, err)
		}
		stream, err := client.TailEvents(t.Context(), &apiv1.TailEventsRequest{Consumer: scope.String()})
		if err != nil {
			t.Fatal(err)
		}
		if ok := stream.Receive(); ok != (scope > server.Read) || !ok && connect.CodeOf(stream.Err()) != connect.CodePermissionDenied {
			t.Errorf("%s: %v %v", scope, stream.Msg(), stream.Err())
		}
		stream.Close()
	}
}

// TestExpiredOverAPI: a consumer over the limit gets an error of its own, until it is told where to go on.
func TestExpiredOverAPI(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	stream := tailing(t, client, "slow", "")
	s.add(t, 0, 100)
	expect(t, stream, 0, 100)
	s.add(t, 100, 101)
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeFailedPrecondition {
		t.Fatal(stream.Msg(), stream.Err())
	}
	_, next := client.NextEvents(t.Context(), &apiv1.NextEventsRequest{Consumer: "slow"})
	_, ack := client.AckEvent(t.Context(), &apiv1.AckEventRequest{Consumer: "slow", Id: "id/100"})
	for _, err := range []error{stream.Err(), next, ack} {
		if reason, hint := detail(err); reason != "consumer_expired" || !strings.Contains(hint, "slow") {
			t.Errorf("%v: %s, %s", err, reason, hint)
		}
	}
	if _, err := client.SetConsumer(t.Context(), &apiv1.SetConsumerRequest{Consumer: "slow", Start: "beginning"}); err != nil {
		t.Fatal(err)
	}
	expect(t, tailing(t, client, "slow", ""), 1, 101)
	if _, err := client.RemoveConsumer(t.Context(), &apiv1.RemoveConsumerRequest{Consumer: "slow"}); err != nil {
		t.Fatal(err)
	}
}

// TestWebhookOverAPI: made, seen without its secrets, its dead letters sent again and discarded, and removed by calls.
func TestWebhookOverAPI(t *testing.T) {
	s := serve(t)
	s.feed.Start()
	var mu sync.Mutex
	var got []string
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Webhook-Signature") == "" {
			t.Error("not signed")
		}
		got = append(got, r.Header.Get("Webhook-Id"))
	}))
	t.Cleanup(endpoint.Close)
	client := api.NewNodeClient(s.unix, "http://x")
	s.add(t, 0, 3)
	if _, err := client.SetWebhook(t.Context(), &apiv1.SetWebhookRequest{Consumer: "shop", Url: endpoint.URL + "/hush?token=hush", Start: "id/1"}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		list, err := client.ListConsumers(t.Context(), &apiv1.ListConsumersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if c := list.GetConsumers()[0]; c.GetState() == "caught up" && strings.Contains(c.GetWebhook().GetUrl(), "hush") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(list)
		}
	}
	mu.Lock()
	if !slices.Equal(got, []string{"id/1", "id/2"}) {
		t.Errorf("%v", got)
	}
	mu.Unlock()
	reader := api.NewNodeClient(s.tls(t, s.token(t, server.Read)), "https://"+s.address)
	if list, err := reader.ListConsumers(t.Context(), &apiv1.ListConsumersRequest{}); err != nil || strings.Contains(list.String(), "hush") {
		t.Errorf("%v %v", list, err)
	}
	letters, err := client.ListDeadLetters(t.Context(), &apiv1.ListDeadLettersRequest{Consumer: "shop"})
	retried, err2 := client.RetryDeadLetters(t.Context(), &apiv1.RetryDeadLettersRequest{Consumer: "shop"})
	discarded, err3 := client.DiscardDeadLetters(t.Context(), &apiv1.DiscardDeadLettersRequest{Consumer: "shop"})
	if errors.Join(err, err2, err3) != nil || len(letters.GetLetters())+int(retried.GetTaken())+int(discarded.GetDiscarded()) != 0 {
		t.Error(letters, retried, discarded, err, err2, err3)
	}
	for _, err := range []error{
		second(client.AckEvent(t.Context(), &apiv1.AckEventRequest{Consumer: "shop", Id: "id/1"})),
		second(client.NextEvents(t.Context(), &apiv1.NextEventsRequest{Consumer: "shop"})),
	} {
		if reason, _ := detail(err); reason != "is_webhook" {
			t.Error(err)
		}
	}
	if _, err := client.RemoveConsumer(t.Context(), &apiv1.RemoveConsumerRequest{Consumer: "shop"}); err != nil {
		t.Error(err)
	}
	if _, err := client.ListDeadLetters(t.Context(), &apiv1.ListDeadLettersRequest{Consumer: "shop"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Error(err)
	}
}

func second[A any](_ A, err error) error { return err }

// TestBadFeedInput: typed errors, and nothing is made.
func TestBadFeedInput(t *testing.T) {
	s := serve(t)
	s.add(t, 0, 1)
	for call, bodies := range map[string][]string{
		"NextEvents":         {`{}`, `{"consumer":"A"}`, `{"consumer":"a","limit":1001}`, `{"consumer":"a","waitSeconds":51}`},
		"AckEvent":           {`{}`, `{"consumer":"a"}`, `{"id":"id/0"}`},
		"SetConsumer":        {`{}`, `{"consumer":"a"}`, `{"consumer":"a b","start":"end"}`},
		"SetWebhook":         {`{}`, `{"consumer":"a"}`, `{"consumer":"a","url":"http://example.com"}`, `{"consumer":"a","url":"https://example.com","secret":"hush"}`, `{"consumer":"/","url":"https://example.com"}`},
		"ListDeadLetters":    {},
		"RetryDeadLetters":   {},
		"DiscardDeadLetters": {},
		"RemoveConsumer":     {},
	} {
		for _, body := range bodies {
			status, answer := post(t, s.unix, "http://x/lnactor.api.v1.Node/"+call, body)
			if status != http.StatusBadRequest || answer["details"] == nil || strings.Contains(fmt.Sprint(answer), "hush") {
				t.Errorf("%s %s: %d %v", call, body, status, answer)
			}
		}
		if !strings.HasPrefix(call, "Set") && call != "NextEvents" {
			status, answer := post(t, s.unix, "http://x/lnactor.api.v1.Node/"+call, `{"consumer":"none","id":"id/0"}`)
			if call != "AckEvent" {
				status, answer = post(t, s.unix, "http://x/lnactor.api.v1.Node/"+call, `{"consumer":"none"}`)
			}
			if status != http.StatusNotFound {
				t.Errorf("%s: %d %v", call, status, answer)
			}
		}
	}
	for _, start := range []string{"id/9", strings.Repeat("x", 60_000)} {
		if status, answer := post(t, s.unix, "http://x/lnactor.api.v1.Node/SetConsumer", `{"consumer":"a","start":"`+start+`"}`); status != http.StatusNotFound || len(fmt.Sprint(answer)) > 2000 {
			t.Errorf("%d %v", status, answer)
		}
	}
	if n := len(s.feed.Consumers()); n != 0 {
		t.Errorf("%d consumers", n)
	}
}

// TestStreamsEnd: the server's end ends streams at once, those too whose clients do not read; and there is a limit to how many there are.
func TestStreamsEnd(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	quiet := tailing(t, client, "quiet", "")
	// A client that sends its request and never reads: the events fill the socket.
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := "\x00\x00\x00\x00\x13{\"consumer\":\"dead\"}"
	fmt.Fprintf(conn, "POST /lnactor.api.v1.Node/TailEvents HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	n := 0
	for deadline := time.Now().Add(2 * time.Minute); ; {
		status := s.feed.Consumers()
		if len(status) == 2 && status[0].Streams == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(status)
		}
		time.Sleep(time.Millisecond)
	}
	for range 4 { // 2 MB, which no socket takes
		for range 50 {
			if _, err := s.feed.Append([]lnactor.Event{{ID: fmt.Sprint("id/", n), Kind: lnactor.PaymentFailed{Reason: strings.Repeat("x", 10_000)}}}); err != nil {
				t.Fatal(err)
			}
			n++
		}
		expect(t, quiet, n-50, n)
		if _, err := client.AckEvent(t.Context(), &apiv1.AckEventRequest{Consumer: "quiet", Id: fmt.Sprint("id/", n-1)}); err != nil {
			t.Fatal(err)
		}
	}
	if status := s.feed.Consumers(); status[0].Name != "dead" || status[0].State != "expired" || status[0].Streams != 1 || status[1].Lag != 0 {
		t.Errorf("%+v", status)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.server.Close(ctx); err != nil || time.Since(began) > time.Minute {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if quiet.Receive() || connect.CodeOf(quiet.Err()) != connect.CodeUnavailable {
		t.Error(quiet.Err())
	}
	_, _ = io.Copy(io.Discard, conn)
}

// TestStreamsCounted: a client that goes is seen to be gone.
func TestStreamsCounted(t *testing.T) {
	s := serve(t)
	stream := tailing(t, api.NewNodeClient(s.unix, "http://x"), "a", "")
	if c := s.feed.Consumers()[0]; c.Streams != 1 {
		t.Errorf("%+v", c)
	}
	stream.Close()
	s.unix.CloseIdleConnections()
	for deadline := time.Now().Add(2 * time.Minute); s.feed.Consumers()[0].Streams != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is still there")
		}
	}
}

func TestTooManyStreams(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	for range 64 {
		tailing(t, client, "", "end")
	}
	stream, err := client.TailEvents(t.Context(), &apiv1.TailEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeResourceExhausted {
		t.Error(stream.Err())
	}
}
