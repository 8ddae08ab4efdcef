package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// serveOps serves a node with these actors and conditions.
func serveOps(t *testing.T, ops *server.Ops) api.NodeClient {
	t.Helper()
	base := serve(t)
	path := filepath.Join(base.dir, "ops.sock")
	l, err := server.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(server.Config{Node: base.fake, Params: regtest.Params(), Ops: ops})
	srv.ServeUnix(l)
	t.Cleanup(func() { _ = srv.Close(context.Background()) })
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return api.NewNodeClient(&http.Client{Transport: transport}, "http://x")
}

func TestGetHealth(t *testing.T) {
	registry := health.New(health.Config{})
	var found []health.Found
	registry.Add(func() []health.Found { return found })
	c := serveOps(t, &server.Ops{Health: registry, CrashDir: "crashes", Report: func() string { return "crashes/one.txt" }})
	h, err := c.GetHealth(t.Context(), &apiv1.GetHealthRequest{})
	if err != nil || !h.GetOk() || !h.GetAlive() || !h.GetReady() || h.GetCrashDir() != "crashes" || h.GetCrashReport() != "crashes/one.txt" {
		t.Fatalf("%v %v", h, err)
	}
	found = []health.Found{{ID: health.DeadLetters, Subject: "hook", Cause: "3 of them", Remedy: "look"}, {ID: health.ActorWedged, Subject: "manager", Cause: "it hangs"}}
	h, err = c.GetHealth(t.Context(), &apiv1.GetHealthRequest{})
	if err != nil || h.GetOk() || h.GetAlive() || h.GetReady() || len(h.GetConditions()) != 2 {
		t.Fatalf("%v %v", h, err)
	}
	first, second := h.GetConditions()[0], h.GetConditions()[1]
	if first.GetId() != "actor_wedged" || first.GetSeverity() != "critical" || first.GetSubject() != "manager" || first.GetCause() != "it hangs" || first.GetRemedy() == "" ||
		time.Since(first.GetSince().AsTime()) > time.Minute {
		t.Errorf("%v", first)
	}
	if second.GetSeverity() != "warning" || second.GetRemedy() != "look" {
		t.Errorf("%v", second)
	}
}

func TestListActors(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	actors := []lnactor.ActorInfo{{ActorVitals: lnactor.ActorVitals{Name: "monitors"}, State: "running"}}
	for i := range 1500 {
		actors = append(actors, lnactor.ActorInfo{ActorVitals: lnactor.ActorVitals{Name: fmt.Sprint("monitor/", i), Queued: i}, Parent: "monitors", State: "running"})
	}
	actors[7].Fault, actors[7].FaultAt, actors[7].Restarts, actors[7].Incarnation = "ouch", at, 2, 99
	actors[9].State = "quarantined"
	var failure error
	c := serveOps(t, &server.Ops{
		Health: health.New(health.Config{}), Report: func() string { return "" },
		Actors: func(context.Context) ([]lnactor.ActorInfo, error) { return actors, failure },
		Recent: func(name string) []string { return []string{"messages.Fence of " + name} },
	})
	list := func(r *apiv1.ListActorsRequest) *apiv1.ListActorsResponse {
		t.Helper()
		l, err := c.ListActors(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := list(&apiv1.ListActorsRequest{}); len(l.GetActors()) != 1000 || l.GetLeftOut() != 501 || len(l.GetActors()[0].GetRecent()) != 0 {
		t.Errorf("%d, %d left out", len(l.GetActors()), l.GetLeftOut())
	}
	if l := list(&apiv1.ListActorsRequest{Kind: "monitors", Limit: 5}); len(l.GetActors()) != 1 || l.GetLeftOut() != 0 {
		t.Errorf("%v", l)
	}
	l := list(&apiv1.ListActorsRequest{OnlyTroubled: true})
	if len(l.GetActors()) != 2 {
		t.Fatalf("%v", l)
	}
	a := l.GetActors()[0]
	if a.GetName() != "monitor/6" || a.GetParent() != "monitors" || a.GetRestarts() != 2 || a.GetIncarnation() != 99 || a.GetLastFault() != "ouch" ||
		!a.GetFaultedAt().AsTime().Equal(at) || a.GetMailbox() != 6 || a.GetRecent()[0] != "messages.Fence of monitor/6" {
		t.Errorf("%v", a)
	}
	if q := l.GetActors()[1]; q.GetState() != "quarantined" || q.GetFaultedAt() != nil {
		t.Errorf("%v", q)
	}
	failure = lnactor.ErrClosed
	if _, err := c.ListActors(t.Context(), &apiv1.ListActorsRequest{}); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Error(err)
	}
}

// A process that does not watch itself says so.
func TestNoOps(t *testing.T) {
	c := serveOps(t, nil)
	_, healthErr := c.GetHealth(t.Context(), &apiv1.GetHealthRequest{})
	_, actorsErr := c.ListActors(t.Context(), &apiv1.ListActorsRequest{})
	if err := errors.Join(healthErr, actorsErr); connect.CodeOf(healthErr) != connect.CodeUnimplemented || connect.CodeOf(actorsErr) != connect.CodeUnimplemented {
		t.Error(err)
	}
}

// TestAckAlarm: what a person acknowledges is told to whoever keeps it, and a failure is no acknowledgement.
func TestAckAlarm(t *testing.T) {
	var asked lnactor.ChannelID
	alarms, fails := 0, error(nil)
	c := serveOps(t, &server.Ops{Health: health.New(health.Config{}), Report: func() string { return "" }, Ack: func(id lnactor.ChannelID) (int, error) {
		asked = id
		return alarms, fails
	}})
	id := lnactor.ChannelID{5}
	call := func() (*apiv1.AckAlarmResponse, error) {
		return c.AckAlarm(t.Context(), &apiv1.AckAlarmRequest{ChannelId: id.String()})
	}
	if _, err := call(); connect.CodeOf(err) != connect.CodeNotFound || asked != id {
		t.Errorf("%v, asked %v", err, asked)
	}
	alarms = 2
	if a, err := call(); err != nil || a.GetAlarms() != 2 {
		t.Errorf("%v %v", a, err)
	}
	fails = errors.New("the disk is full")
	if _, err := call(); connect.CodeOf(err) != connect.CodeInternal {
		t.Error(err)
	}
	if _, err := c.AckAlarm(t.Context(), &apiv1.AckAlarmRequest{ChannelId: "x"}); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error(err)
	}
}
