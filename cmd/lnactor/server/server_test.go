package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// served is a server over a fake node, on a socket and on TLS.
type served struct {
	fake    *fake
	dir     string
	socket  string
	address string
	unix    *http.Client
	feed    *feed.Feed
	server  *server.Server
}

func serve(t testing.TB) *served {
	t.Helper()
	dir, err := os.MkdirTemp("", "api") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &served{fake: newFake(), dir: dir, socket: filepath.Join(dir, "api.sock")}
	if s.feed, err = feed.Open(feed.Options{Dir: filepath.Join(dir, feed.Dir), MaxEvents: 100}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.feed.Close() })
	srv := server.New(server.Config{Node: s.fake, Feed: s.feed, Params: regtest.Params(), Source: "embedded", Chain: c, Stop: func() { s.fake.note("stop") }})
	l, err := server.ListenUnix(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	s.server = srv
	srv.ServeUnix(l)
	tokens, err := server.OpenTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	tl, err := server.ListenTLS("127.0.0.1:0", dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.address = tl.Addr().String()
	srv.ServeTLS(tl, tokens)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	s.unix = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	}}}
	t.Cleanup(s.unix.CloseIdleConnections)
	return s
}

// tls is a client that trusts the server's certificate and has a token.
func (s *served) tls(t testing.TB, token string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.dir, server.CertFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: bearer{transport, token}}
}

type bearer struct {
	next  http.RoundTripper
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

func (s *served) token(t testing.TB, scope server.Scope) string {
	t.Helper()
	raw, err := os.ReadFile(server.TokenFile(s.dir, scope))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// post is what curl does: JSON in, JSON out.
func post(t testing.TB, c *http.Client, url, body string) (int, map[string]any) {
	t.Helper()
	resp, err := c.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(raw, &answer); err != nil {
		answer = map[string]any{"text": string(raw)}
	}
	return resp.StatusCode, answer
}

// procedures lists every procedure of the schema.
func procedures(t testing.TB) (out []string) {
	t.Helper()
	for _, name := range []protoreflect.FullName{"lnactor.api.v1.Node", "lnactor.api.v1.Regtest"} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			out = append(out, fmt.Sprintf("/%s/%s", name, methods.Get(i).Name()))
		}
	}
	return out
}

// spends and receives are what a smaller scope may not do, written down once more, by hand.
var (
	spends = []string{
		"Send", "BumpFee", "Connect", "Disconnect", "OpenChannel", "CloseChannel", "ForceCloseChannel", "SetChannelFee", "SetPolicy", "Pay", "StopNode", "Mine", "Fund",
		"AbandonPayment", "AckAlarm",
		"SetConsumer", "RemoveConsumer", "SetWebhook", "RetryDeadLetters", "DiscardDeadLetters", "Backup", "TrustRestored",
	}
	earns = []string{"NextEvents", "AckEvent", "NewAddress", "CreateInvoice", "ClaimPayment", "RefusePayment", "CancelInvoice"}
)

func has(list []string, procedure string) bool {
	for _, name := range list {
		if strings.HasSuffix(procedure, "/"+name) {
			return true
		}
	}
	return false
}

// TestScopes: every procedure with every token, and without one.
func TestScopes(t *testing.T) {
	s := serve(t)
	all := procedures(t)
	if len(all) < 28 {
		t.Fatalf("%d procedures", len(all))
	}
	for scope, may := range map[server.Scope]func(string) bool{
		server.Nobody:  func(string) bool { return false },
		server.Read:    func(p string) bool { return !has(spends, p) && !has(earns, p) },
		server.Receive: func(p string) bool { return !has(spends, p) },
		server.Full:    func(string) bool { return true },
	} {
		token := ""
		if scope != server.Nobody {
			token = s.token(t, scope)
		}
		client := s.tls(t, token)
		for _, p := range all {
			s.fake.calls = nil
			status, answer := post(t, client, "https://"+s.address+p, "{}")
			refused := status == http.StatusForbidden || status == http.StatusUnauthorized
			if refused == may(p) {
				t.Errorf("%s with scope %s: %d %v", p, scope, status, answer)
			}
			if refused && len(s.fake.calls) > 0 {
				t.Errorf("%s with scope %s was refused and did %v", p, scope, s.fake.calls)
			}
			if refused && (scope == server.Nobody) != (status == http.StatusUnauthorized) {
				t.Errorf("%s with scope %s: status %d", p, scope, status)
			}
			if strings.Contains(fmt.Sprint(answer), token) && token != "" {
				t.Errorf("%s: the answer holds the token", p)
			}
		}
	}
	for _, token := range []string{"x", strings.Repeat("0", 64), s.token(t, server.Full)[1:]} {
		if status, _ := post(t, s.tls(t, token), "https://"+s.address+all[0], "{}"); status != http.StatusUnauthorized {
			t.Errorf("token %q: %d", token, status)
		}
	}
	for _, scope := range []server.Scope{server.Read, server.Receive, server.Full} {
		if info, err := os.Stat(server.TokenFile(s.dir, scope)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", scope, info.Mode(), err)
		}
	}
	for _, path := range []string{s.socket, filepath.Join(s.dir, server.KeyFile)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", path, info.Mode())
		}
	}
}

// TestPreimage: the proof of a payment is for the owner alone.
func TestPreimage(t *testing.T) {
	s := serve(t)
	id := strings.Repeat("ab", 32)
	for client, want := range map[*http.Client]bool{
		s.tls(t, s.token(t, server.Full)): true, s.tls(t, s.token(t, server.Receive)): false, s.tls(t, s.token(t, server.Read)): false,
	} {
		for _, call := range []string{"GetPayment", "ListPayments"} {
			status, answer := post(t, client, "https://"+s.address+"/lnactor.api.v1.Node/"+call, `{"id":"`+id+`"}`)
			if call == "ListPayments" {
				status, answer = post(t, client, "https://"+s.address+"/lnactor.api.v1.Node/"+call, `{}`)
			}
			if shown := strings.Contains(fmt.Sprint(answer), strings.Repeat("cd", 32)); status != 200 || shown != want {
				t.Errorf("%s: %d %v", call, status, answer)
			}
		}
	}
}

// TestProtocols: the same call by JSON, connect, gRPC and gRPC-Web.
func TestProtocols(t *testing.T) {
	s := serve(t)
	status, answer := post(t, s.unix, "http://x/lnactor.api.v1.Node/GetInfo", "{}")
	if status != 200 || answer["nodeId"] != s.fake.ID().String() || answer["network"] != "regtest" {
		t.Errorf("%d %v", status, answer)
	}
	full := s.tls(t, s.token(t, server.Full))
	for name, client := range map[string]api.NodeClient{
		"connect":      api.NewNodeClient(s.unix, "http://x"),
		"connect json": api.NewNodeClient(s.unix, "http://x", connect.WithProtoJSON()),
		"grpc-web":     api.NewNodeClient(s.unix, "http://x", connect.WithGRPCWeb()),
		"grpc, TLS":    api.NewNodeClient(full, "https://"+s.address, connect.WithGRPC()),
		"connect, TLS": api.NewNodeClient(full, "https://"+s.address),
	} {
		info, err := client.GetInfo(t.Context(), &apiv1.GetInfoRequest{})
		if err != nil || info.GetNodeId() != s.fake.ID().String() {
			t.Errorf("%s: %v %v", name, info, err)
		}
		_, err = client.OpenChannel(t.Context(), &apiv1.OpenChannelRequest{NodeId: s.fake.other.String(), CapacitySat: 1})
		if reason, hint := detail(err); connect.CodeOf(err) != connect.CodeFailedPrecondition || reason != "not_connected" || hint == "" {
			t.Errorf("%s: %v, %s, %s", name, err, reason, hint)
		}
	}
}

func detail(err error) (reason, hint string) {
	var ce *connect.Error
	if errors.As(err, &ce) {
		for _, d := range ce.Details() {
			if m, err := d.Value(); err == nil {
				if e, ok := m.(*apiv1.ErrorDetail); ok {
					return e.GetReason(), e.GetHint()
				}
			}
		}
	}
	return "", ""
}

// TestPayOnce: an id pays once; a repeated call answers with what is there, and the same id for something else is refused.
func TestPayOnce(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	invoice, other := s.fake.invoice(t, 21_000), s.fake.invoice(t, 22_000)
	first, err := client.Pay(t.Context(), &apiv1.PayRequest{Bolt11: invoice, Id: "order-17"})
	if err != nil || first.GetRepeatedCall() || first.GetPayment().GetAmountMsat() != 21_000 {
		t.Fatal(first, err)
	}
	again, err := client.Pay(t.Context(), &apiv1.PayRequest{Bolt11: invoice, Id: "order-17"})
	if err != nil || !again.GetRepeatedCall() || again.GetPayment().GetId() != first.GetPayment().GetId() {
		t.Fatal(again, err)
	}
	byID, err := client.Pay(t.Context(), &apiv1.PayRequest{Bolt11: invoice, Id: first.GetPayment().GetId()})
	if err != nil || !byID.GetRepeatedCall() {
		t.Fatal(byID, err)
	}
	for _, r := range []*apiv1.PayRequest{{Bolt11: other, Id: "order-17"}, {Bolt11: invoice, Id: "order-17", AmountMsat: 5}} {
		if _, err := client.Pay(t.Context(), r); connect.CodeOf(err) != connect.CodeAlreadyExists {
			t.Errorf("%v: %v", r, err)
		}
	}
	if s.fake.paid != 1 {
		t.Errorf("paid %d times", s.fake.paid)
	}
	for range 2 { // without an id each call is a payment
		if p, err := client.Pay(t.Context(), &apiv1.PayRequest{Bolt11: invoice}); err != nil || p.GetRepeatedCall() {
			t.Error(p, err)
		}
	}
	if s.fake.paid != 3 {
		t.Errorf("paid %d times", s.fake.paid)
	}
}

// TestPayLimits: limits reach the node, and a payment without an invoice is one by its payee and amount.
func TestPayLimits(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	fee := uint64(0)
	limits := &apiv1.PayLimits{MaxFeeMsat: &fee, MaxParts: 3, TrySeconds: 90}
	r := &apiv1.PayRequest{KeysendPayee: s.fake.other.String(), Id: "tip", AmountMsat: 5000, Limits: limits}
	first, err := client.Pay(t.Context(), r)
	if err != nil || first.GetPayment().GetPayee() != s.fake.other.String() {
		t.Fatal(first, err)
	}
	if p := s.fake.params; p.MaxFeeMsat == nil || *p.MaxFeeMsat != 0 || p.MaxParts != 3 || p.Timeout != 90*time.Second || p.AmountMsat != 5000 {
		t.Errorf("%+v", p)
	}
	if again, err := client.Pay(t.Context(), r); err != nil || !again.GetRepeatedCall() || s.fake.paid != 1 {
		t.Error(again, err)
	}
	r.KeysendPayee = s.fake.self.String()
	if _, err := client.Pay(t.Context(), r); connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Error(err)
	}
	if _, err := client.Pay(t.Context(), &apiv1.PayRequest{Bolt11: s.fake.invoice(t, 1)}); err != nil || s.fake.params.MaxFeeMsat != nil {
		t.Error(err, s.fake.params)
	}
	for _, r := range []*apiv1.PayRequest{
		{},
		{Bolt11: "x", KeysendPayee: s.fake.other.String()},
		{KeysendPayee: "02", AmountMsat: 5},
		{KeysendPayee: s.fake.other.String(), AmountMsat: 5, Limits: &apiv1.PayLimits{MaxParts: 1 << 20}},
	} {
		if _, err := client.Pay(t.Context(), r); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}
	if _, err := client.AbandonPayment(t.Context(), &apiv1.AbandonPaymentRequest{Id: "tip"}); err != nil {
		t.Error(err)
	}
	if p, err := client.GetPayment(t.Context(), &apiv1.GetPaymentRequest{Id: "tip"}); err != nil || !p.GetPayment().GetAbandoned() {
		t.Error(p, err)
	}
	if _, err := client.AbandonPayment(t.Context(), &apiv1.AbandonPaymentRequest{Id: "no such"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Error(err)
	}
}

// TestRace: two calls with one id at once, of which the node takes one.
func TestRace(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	invoice := s.fake.invoice(t, 21_000)
	s.fake.blind = 1 // the first look does not see the payment, as if it came in between
	if _, err := client.Pay(t.Context(), &apiv1.PayRequest{Bolt11: invoice, Id: "a"}); err != nil {
		t.Fatal(err)
	}
	s.fake.blind = 1
	p, err := client.Pay(t.Context(), &apiv1.PayRequest{Bolt11: invoice, Id: "a"})
	if err != nil || !p.GetRepeatedCall() || s.fake.paid != 1 {
		t.Error(p, err, s.fake.paid)
	}
}

// TestBadInput: a bad argument is InvalidArgument with a reason, and nothing is done.
func TestBadInput(t *testing.T) {
	s := serve(t)
	id, channel := s.fake.other.String(), strings.Repeat("ab", 32)
	for call, bodies := range map[string][]string{
		"Send": {
			`{}`, `{"address":"x"}`, `{"address":"x","amountSat":"1","all":true}`, `{"address":"x","amountSat":"18446744073709551615"}`,
		},
		"Connect": {
			`{}`, `{"nodeId":"zz","address":"a:1"}`, `{"nodeId":"` + strings.Repeat("00", 33) + `","address":"a:1"}`, `{"nodeId":"` + id + `"}`,
			`{"nodeId":"` + id + `","address":"a"}`, `{"nodeId":"` + id + `","address":"a:0"}`, `{"nodeId":"` + id + `","address":":1"}`,
			`{"nodeId":"` + s.fake.ID().String() + `","address":"a:1"}`,
		},
		"Disconnect":         {`{}`, `{"nodeId":"02"}`},
		"OpenChannel":        {`{}`, `{"nodeId":"` + id + `"}`, `{"nodeId":"` + id + `","capacitySat":"1","pushMsat":"2000"}`},
		"CloseChannel":       {`{}`, `{"channelId":"ab"}`},
		"ForceCloseChannel":  {`{}`, `{"channelId":"` + channel + `00"}`},
		"SetChannelFee":      {`{}`, `{"channelId":"` + channel + `"}`, `{"channelId":"` + channel + `","feePerKw":252}`},
		"ListClosedChannels": {`{"limit":10001}`, `{"page":"zz"}`, `{"page":"00"}`},
		"ListPayments":       {`{"limit":4294967295}`},
		"GetPayment":         {`{}`, `{"id":"` + strings.Repeat("x", 256) + `"}`},
		"Pay":                {`{"id":"` + strings.Repeat("x", 256) + `"}`},
		"DecodeInvoice":      {`{}`, `{"bolt11":"lnbcrt1"}`, `{"bolt11":"lnbc1"}`},
		"CreateInvoice":      {`{"paymentHash":"zz"}`, `{"descriptionHash":"00"}`},
		"ClaimPayment":       {`{}`, `{"paymentHash":"zz"}`, `{"preimage":"zz"}`, `{"paymentHash":"` + channel + `","preimage":"` + channel + `"}`},
		"RefusePayment":      {`{}`, `{"paymentHash":"00"}`},
		"ListReceived":       {`{"limit":10001}`, `{"page":"zz"}`, `{"page":"00"}`},
		"GetReceived":        {`{}`, `{"paymentHash":"00"}`, `{"bolt11":"lnbcrt1"}`, `{"bolt11":"` + s.fake.invoice(t, 1) + `","paymentHash":"` + channel + `"}`},
		"CancelInvoice":      {`{}`, `{"paymentHash":"zz"}`, `{"bolt11":"lnbc1"}`},
	} {
		for _, body := range bodies {
			s.fake.calls = nil
			status, answer := post(t, s.unix, "http://x/lnactor.api.v1.Node/"+call, body)
			if status != http.StatusBadRequest || answer["code"] != "invalid_argument" || answer["details"] == nil || len(s.fake.calls) > 0 {
				t.Errorf("%s %.200s: %d %v, did %v", call, body, status, answer, s.fake.calls)
			}
		}
	}
	for _, body := range []string{`{"blocks":0}`, `{"blocks":1001}`} {
		if status, _ := post(t, s.unix, "http://x/lnactor.api.v1.Regtest/Mine", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d", body, status)
		}
	}
	if status, _ := post(t, s.unix, "http://x/lnactor.api.v1.Regtest/Fund", `{"address":"bc1","amountSat":"1000"}`); status != http.StatusBadRequest {
		t.Errorf("fund: %d", status)
	}
	if status, _ := post(t, s.unix, "http://x/lnactor.api.v1.Node/Nothing", `{}`); status != http.StatusNotImplemented && status != http.StatusNotFound {
		t.Errorf("unknown procedure: %d", status)
	}
	if status, _ := post(t, s.unix, "http://x/lnactor.api.v1.Node/GetPayment", `{"id":"`+strings.Repeat("x", 1<<17)+`"}`); status != http.StatusTooManyRequests {
		t.Errorf("a request that is too large: %d", status)
	}
}

// TestCrash: a call that panics is an error, and the server goes on.
func TestCrash(t *testing.T) {
	s := serve(t)
	s.fake.crash = true
	status, answer := post(t, s.unix, "http://x/lnactor.api.v1.Node/NewAddress", `{}`)
	if status != http.StatusInternalServerError || strings.Contains(fmt.Sprint(answer), "boom") {
		t.Errorf("%d %v", status, answer)
	}
	s.fake.crash = false
	if status, _ := post(t, s.unix, "http://x/lnactor.api.v1.Node/NewAddress", `{}`); status != 200 {
		t.Errorf("%d", status)
	}
}

func TestErrors(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	for err, want := range map[error]connect.Code{
		&lnactor.Error{Op: "x", Err: lnactor.ErrNotSynced}:                         connect.CodeUnavailable,
		&lnactor.Error{Op: "x", Err: lnactor.ErrClosed}:                            connect.CodeUnavailable,
		&lnactor.Error{Op: "x", Err: &lnactor.InsufficientFundsError{}}:            connect.CodeFailedPrecondition,
		&lnactor.Error{Op: "x", Err: &lnactor.ReserveError{}}:                      connect.CodeFailedPrecondition,
		&lnactor.Error{Op: "x", Hint: "a hint", Err: context.DeadlineExceeded}:     connect.CodeDeadlineExceeded,
		&lnactor.Error{Op: "x", Err: errors.New("something that nobody expected")}: connect.CodeInternal,
	} {
		s.fake.err = err
		_, got := client.NewAddress(t.Context(), &apiv1.NewAddressRequest{})
		reason, hint := detail(got)
		if connect.CodeOf(got) != want || reason == "" || (want != connect.CodeInternal && hint == "") {
			t.Errorf("%v: %v, reason %q, hint %q", err, got, reason, hint)
		}
		if strings.Contains(got.Error(), "a hint") || strings.Contains(err.Error(), "a hint") && hint != "a hint" {
			t.Errorf("%v: %v, %s", err, got, hint)
		}
	}
}

// TestSocket: what a dead process left is replaced; what is something else is not.
func TestSocket(t *testing.T) {
	s := serve(t)
	if _, err := server.ListenUnix(s.socket); !errors.Is(err, lnactor.ErrInUse) {
		t.Errorf("a socket that is served: %v", err)
	}
	file := filepath.Join(s.dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.ListenUnix(file); !errors.Is(err, lnactor.ErrConfig) {
		t.Errorf("a file: %v", err)
	}
	if raw, err := os.ReadFile(file); err != nil || !bytes.Equal(raw, []byte("precious")) {
		t.Errorf("%q %v", raw, err)
	}
	stale := filepath.Join(s.dir, "stale")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	again, err := server.ListenUnix(stale)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := os.Lstat(stale); err == nil {
		t.Error("the socket is left behind")
	}
	if err := os.Chmod(server.TokenFile(s.dir, server.Read), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := server.OpenTokens(s.dir); err == nil {
		t.Error("a token that others can read was taken")
	}
}

// FuzzCall: no JSON for any procedure crashes the server or looks like a fault of its own.
func FuzzCall(f *testing.F) {
	s := serve(f)
	all := procedures(f)
	for i := range all {
		f.Add(uint8(i), `{}`)
	}
	f.Add(uint8(20), `{"bolt11":"lnbcrt1","id":"x","amountMsat":"1"}`)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		p := all[int(which)%len(all)]
		status, answer := post(t, s.unix, "http://x"+p, body)
		if status >= 500 && status != http.StatusNotImplemented && status != http.StatusServiceUnavailable {
			t.Errorf("%s %q: %d %v", p, body, status, answer)
		}
		// An answer is of the schema.
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(p[1:], "/", ".")))
		if err != nil {
			t.Fatal(err)
		}
		if raw, _ := json.Marshal(answer); status == 200 {
			if err := protojson.Unmarshal(raw, dynamicpb.NewMessage(d.(protoreflect.MethodDescriptor).Output())); err != nil {
				t.Errorf("%s: %v: %s", p, err, raw)
			}
		}
	})
}
