package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/cmd/lnactor/diagnose"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
)

// offline is a real node, but that no input has it connect to anybody.
type offline struct{ server.Node }

func (offline) Connect(_ context.Context, id lnactor.NodeID, _ string) error {
	return &lnactor.Error{Op: "connect", Err: fmt.Errorf("%w %s", lnactor.ErrNotConnected, id)}
}

// sparing mines a block where a thousand are asked for.
type sparing struct{ *regtest.Chain }

func (c sparing) Mine(n int) ([]*wire.MsgBlock, error) { return c.Chain.Mine(min(n, 1)) }

type recovering struct{ *lnactor.Node }

func (r recovering) Backup(ctx context.Context, w io.Writer) error {
	_, err := r.Node.Backup(ctx, w, lnactor.BackupOptions{})
	return err
}

func (r recovering) Diagnose(ctx context.Context) []diagnose.Check {
	return diagnose.Run(ctx, diagnose.Config{Node: r.Node})
}

// fuzzed serves a real node in memory, with coins and a feed. What the node logs as an error fails the test at the end.
func fuzzed(f *testing.F) *server.Server {
	f.Helper()
	dir := f.TempDir()
	chain, err := regtest.New("")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { chain.Close() })
	node, err := lnactor.Open(f.Context(), lnactor.Config{Chain: chain.Source(), Params: chain.Params()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { node.Close() })
	fd, err := feed.Open(feed.Options{Dir: filepath.Join(dir, feed.Dir)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { fd.Close() })
	var list []lnactor.Event
	for i := range 3 {
		list = append(list, lnactor.Event{ID: fmt.Sprintf("id/%d", i), Kind: lnactor.PaymentFailed{AmountMsat: 1}})
	}
	if _, err := fd.Append(list); err != nil {
		f.Fatal(err)
	}
	return server.New(server.Config{
		Node: offline{server.Of(node)}, Feed: fd, Params: chain.Params(), Chain: sparing{chain}, Recovery: recovering{node},
		Ops: &server.Ops{Health: health.New(health.Config{Node: node}), Actors: node.Actors, Recent: node.RecentMessages, Report: func() string { return "" }},
		Log: slog.New(slog.DiscardHandler),
	})
}

// FuzzNode sends every procedure of a real node what nobody should: whatever it is, the answer is a good one or an error that says whose fault it is, and never
// a panic or an internal error. The encoding is JSON, protobuf, and what gRPC-Web and connect streams have around it.
func FuzzNode(f *testing.F) {
	srv := fuzzed(f)
	handler := srv.Handler()
	methods := methodsOf(f)
	for i, m := range methods {
		for n := range 4 {
			msg := sample(m.Input(), n, 0)
			asJSON, err := protojson.Marshal(msg)
			if err != nil {
				f.Fatal(err)
			}
			asProto, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), uint8(n), asJSON)      //nolint:gosec // fewer than 256
			f.Add(uint8(i), uint8(4+n%3), asProto) //nolint:gosec // likewise
		}
	}
	for i := range methods {
		for _, text := range []string{"", "{", "null", "[]", `{"nothing":1}`, "\xff\xff"} {
			f.Add(uint8(i), uint8(0), []byte(text)) //nolint:gosec // likewise
		}
	}
	f.Fuzz(func(t *testing.T, method, encoding uint8, body []byte) {
		m := methods[int(method)%len(methods)]
		contentType, body := encode(m, encoding, body)
		path := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
		r := httptest.NewRequest("POST", path, bytes.NewReader(body)).WithContext(t.Context())
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Connect-Timeout-Ms", "200")
		r.Header.Set("Grpc-Timeout", "200m")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if why := fault(contentType, w); why != "" {
			t.Errorf("%s, %s, %q: %s: %d %.2000q %v", path, contentType, body, why, w.Code, w.Body, w.Header())
		}
	})
}

func methodsOf(t testing.TB) (out []protoreflect.MethodDescriptor) {
	t.Helper()
	for _, name := range []protoreflect.FullName{"lnactor.api.v1.Node", "lnactor.api.v1.Regtest"} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		all := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range all.Len() {
			out = append(out, all.Get(i))
		}
	}
	return out
}

// encode puts a body into the frame of a protocol. Streams are asked for by their own.
func encode(m protoreflect.MethodDescriptor, encoding uint8, body []byte) (string, []byte) {
	kind := []string{"json", "proto"}[encoding/4%2]
	switch {
	case encoding%4 == 3:
		return "application/grpc-web+" + kind, framed(body)
	case m.IsStreamingServer():
		return "application/connect+" + kind, framed(body)
	}
	return "application/" + kind, body
}

func framed(body []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))) //nolint:gosec // small
	return append(out, body...)
}

// fault says what is wrong with an answer.
func fault(contentType string, w *httptest.ResponseRecorder) string {
	var codes []string
	body := w.Body.String()
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		status := w.Header().Get("Grpc-Status")
		for line := range strings.Lines(strings.ToLower(body)) { // the trailers are in the body
			if _, after, ok := strings.Cut(line, "grpc-status: "); ok {
				status = strings.TrimSpace(after)
			}
		}
		codes = append(codes, status)
	case strings.HasPrefix(contentType, "application/connect"):
		var end struct {
			Error struct {
				Code string `json:"code"`
			} `json:"error"`
		}
		if at := strings.LastIndex(body, "\x02\x00\x00"); at >= 0 && len(body) > at+5 {
			if err := json.Unmarshal([]byte(body[at+5:]), &end); err != nil {
				return "the end of the stream is no JSON"
			}
		}
		codes = append(codes, end.Error.Code)
	case w.Code != 200:
		var answer struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Code == "" {
			return "an error that programs can't read"
		}
		if answer.Message == "" {
			return "an error without a word"
		}
		codes = append(codes, answer.Code)
	}
	for _, bad := range []string{"internal", "unknown", "data_loss", "13", "2", "15"} {
		if slices.Contains(codes, bad) {
			return "code " + bad
		}
	}
	if w.Code >= 500 && w.Code != 503 && w.Code != 504 && w.Code != 501 {
		return "a status of the server's fault"
	}
	return ""
}

// texts are what a field may be asked to hold, by what it is for.
var texts = []string{
	strings.Repeat("ab", 32), "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5", "", "-1", "x\x00y", strings.Repeat("é", 300), "beginning", "shop",
	"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "127.0.0.1:1", "https://example.com/x", "id/1",
}

// sample is a message of a type, the n-th of a few.
func sample(d protoreflect.MessageDescriptor, n, depth int) protoreflect.ProtoMessage {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if depth > 2 || fd.IsMap() {
			continue
		}
		if fd.IsList() {
			m.Mutable(fd).List().Append(value(fd, n+i, depth))
			continue
		}
		m.Set(fd, value(fd, n+i, depth))
	}
	return m
}

func value(fd protoreflect.FieldDescriptor, n, depth int) protoreflect.Value {
	numbers := []uint64{1, 0, 100_000, 1<<64 - 1, 253, 1 << 31}
	v := numbers[n%len(numbers)]
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n%2 == 0)
	case protoreflect.StringKind:
		switch name := string(fd.Name()); {
		case strings.Contains(name, "node_id") && n%3 > 0:
			return protoreflect.ValueOfString(texts[1])
		case (strings.Contains(name, "hash") || strings.Contains(name, "channel_id")) && n%3 > 0:
			return protoreflect.ValueOfString(texts[0])
		case name == "address" && n%3 > 0:
			return protoreflect.ValueOfString(texts[8])
		}
		return protoreflect.ValueOfString(texts[n%len(texts)])
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(v)) //nolint:gosec // any will do
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(v)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(v)) //nolint:gosec // any will do
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(v)) //nolint:gosec // any will do
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64([]float64{0.5, -1, 1e300}[n%3])
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(0.5)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(texts[n%len(texts)]))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)) //nolint:gosec // small
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoreflect.ValueOfMessage(sample(fd.Message(), n, depth+1).ProtoReflect())
	}
	return fd.Default()
}
