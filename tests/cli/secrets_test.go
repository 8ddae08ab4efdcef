package cli_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/cmd/lnactor/crash"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/messages"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

const spiedPassphrase = "correct horse battery staple"

// spied is a process of which everything that it says is kept.
type spied struct {
	*process
	log     output // and standard output
	answers output // of the API, errors included, and of the pages
	tcp     string
	faults  string
}

// listen keeps what a transport brings.
type listen struct {
	to   io.Writer
	next http.RoundTripper
}

func (l listen) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil {
		fmt.Fprintln(l.to, resp.Header)
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(resp.Body, l.to), resp.Body}
	}
	return resp, err
}

func startSpied(t *testing.T, dir, bin, name string, args ...string) *spied {
	t.Helper()
	s := &spied{process: newProcess(dir, bin, name, args...), tcp: freeAddr(t), faults: filepath.Join(dir, name+".fault")}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.dir, "api.sock"))
	}}
	client := &http.Client{Transport: listen{&s.answers, transport}}
	plain := []connect.ClientOption{connect.WithProtoJSON(), connect.WithAcceptCompression("gzip", nil, nil)} // what is kept must be readable
	s.api = api.NewNodeClient(client, "http://x", plain...)
	s.regtest = api.NewRegtestClient(client, "http://x", plain...)
	s.out, s.program = &s.log, "faulty"
	s.args = append(s.args, "--log-level", "debug", "--api-listen", s.tcp)
	s.env = []string{"LNACTOR_PASSPHRASE=" + spiedPassphrase, "FAULT_FILE=" + s.faults}
	s.run(t)
	return s
}

// run starts the process; it can be done again after kill.
func (s *spied) run(t *testing.T) {
	t.Helper()
	s.launch(t)
	s.answered(t)
}

// forms are the ways in which bytes can show in a text.
func forms(b []byte) []string {
	list := strings.Trim(fmt.Sprint(b), "[]")
	head := b[:min(len(b), 16)]
	return []string{
		hex.EncodeToString(head), strings.ToUpper(hex.EncodeToString(head)), hex.EncodeToString(reversed(b))[:2*len(head)],
		base64.StdEncoding.EncodeToString(b)[:20], base64.RawURLEncoding.EncodeToString(b)[:20], string(head),
		list[:len(list)/2], strings.ReplaceAll(list, " ", ", ")[:len(list)/2], strings.Trim(fmt.Sprintf("%#v", head), "[]byte{}"), fmt.Sprintf("% x", head),
	}
}

func reversed(b []byte) []byte {
	out := bytes.Clone(b)
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// keysOf are the indexes of the channel keys that an ended process has used, and the next.
func keysOf(t *testing.T, dir string) []uint32 {
	t.Helper()
	s, err := bboltstore.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	last, found, err := s.Last(messages.BucketKeys, nil)
	if err = errors.Join(err, s.Close()); err != nil || !found || len(last.Key) != 4 {
		t.Fatalf("the last channel key %x: %v", last.Key, err)
	}
	index := binary.BigEndian.Uint32(last.Key)
	return []uint32{index - 1, index, index + 1}
}

// secretsOf are texts that must show nowhere, by what they are. The process has ended.
func secretsOf(t *testing.T, s *spied) map[string][]string {
	t.Helper()
	out := map[string][]string{"passphrase": {spiedPassphrase}}
	words, err := lnactor.SeedWords(s.dir, []byte(spiedPassphrase), regtest.Params())
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(words) - 3 {
		out["words"] = append(out["words"], strings.Join(words[i:i+4], " "), strings.Join(words[i:i+4], `","`), strings.Join(words[i:i+4], `", "`))
	}
	root, err := seed.Open(filepath.Join(s.dir, "seed"), []byte(spiedPassphrase), regtest.Params())
	if err != nil {
		t.Fatal(err)
	}
	key, err := root.NodeKey()
	if err != nil {
		t.Fatal(err)
	}
	out["node key"] = forms(key.Serialize())
	for _, family := range []keychain.KeyFamily{
		keychain.KeyFamilyMultiSig, keychain.KeyFamilyRevocationBase, keychain.KeyFamilyHtlcBase, keychain.KeyFamilyPaymentBase, keychain.KeyFamilyDelayBase,
		keychain.KeyFamilyRevocationRoot,
	} {
		for _, index := range keysOf(t, s.dir) {
			key, err := root.Key(family, index)
			if err != nil {
				t.Fatal(err)
			}
			out["channel keys"] = append(out["channel keys"], forms(key.Serialize())...)
		}
	}
	for index := range uint32(8) {
		for change := range uint32(2) {
			key, err := root.WalletKey(change, index)
			if err != nil {
				t.Fatal(err)
			}
			out["wallet keys"] = append(out["wallet keys"], forms(key.Serialize())...)
		}
	}
	for _, scope := range []server.Scope{server.Read, server.Receive, server.Full} {
		raw, err := os.ReadFile(server.TokenFile(s.dir, scope))
		if err != nil {
			t.Fatal(err)
		}
		token := strings.TrimSpace(string(raw))
		out["tokens"] = append(out["tokens"], token, token[8:40])
	}
	pem, err := os.ReadFile(filepath.Join(s.dir, server.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(pem), "\n") {
		if len(line) >= 40 && !strings.HasPrefix(line, "-") {
			out["key of the API"] = append(out["key of the API"], line)
		}
	}
	return out
}

func mustNotHold(t *testing.T, where, text string, secrets map[string][]string) {
	t.Helper()
	for what, list := range secrets {
		for _, s := range list {
			if i := strings.Index(text, s); i >= 0 {
				t.Errorf("%s: %s shows: ...%.200q", where, what, text[max(0, i-100):])
				break
			}
		}
	}
}

// TestNoSecrets runs two nodes through payments, a held one among them, failures, wrong passphrases and tokens, a crash of an actor and a kill, with all that
// they log. No word of a seed, key, token, passphrase or preimage is in a log, an answer, an error or a crash report; a preimage is told when it proves a payment.
func TestNoSecrets(t *testing.T) {
	if testing.Short() {
		t.Skip("runs two processes")
	}
	t.Parallel()
	dir, bin, ports := shortDir(t), faultyPath(t), [2]string{freeAddr(t), freeAddr(t)}
	alice := startSpied(t, dir, bin, "alice", "--serve-chain", ports[0])
	bob := startSpied(t, dir, bin, "bob", "--chain", "rpcpoll", "--rpc-url", "http://"+ports[0], "--rpc-interval", "100ms", "--listen", ports[1], "--manual-claim")
	c := &pair{alice: alice.process, bob: bob.process}
	c.fund(t, c.alice, aliceSat)
	c.mine(t, 1)
	c.has(t, c.alice, aliceSat)
	openChannel(t, c, 0)
	ctx := t.Context()

	var preimages [][]byte
	for i := range 3 {
		inv, err := bob.api.CreateInvoice(ctx, &apiv1.CreateInvoiceRequest{AmountMsat: 1_000_000, Description: fmt.Sprint("tea ", i)})
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint("p", i)
		if _, err := alice.api.Pay(ctx, &apiv1.PayRequest{Bolt11: inv.GetBolt11(), Id: id}); err != nil {
			t.Fatal(err)
		}
		poll(t, patience, "the payment to be held", func(ctx context.Context) bool {
			c, err := bob.api.ListChannels(ctx, &apiv1.ListChannelsRequest{})
			return err == nil && c.GetChannels()[0].GetInboundMsat() == 1_000_000
		})
		look(ctx, alice)
		look(ctx, bob)
		if i == 1 { // one is refused: its preimage stays a secret for ever, and nobody here can know it
			poll(t, patience, "the refusal", func(ctx context.Context) bool {
				_, err := bob.api.RefusePayment(ctx, &apiv1.RefusePaymentRequest{PaymentHash: inv.GetPaymentHash()})
				return err == nil
			})
		}
		before := map[string]string{"alice": alice.log.String() + alice.answers.String(), "bob": bob.log.String() + bob.answers.String()}
		if i != 1 {
			poll(t, patience, "the claim", func(ctx context.Context) bool {
				_, err := bob.api.ClaimPayment(ctx, &apiv1.ClaimPaymentRequest{PaymentHash: inv.GetPaymentHash()})
				return err == nil
			})
		}
		var p *apiv1.Payment
		poll(t, patience, "the outcome", func(ctx context.Context) bool {
			got, err := alice.api.GetPayment(ctx, &apiv1.GetPaymentRequest{Id: id})
			p = got.GetPayment()
			return err == nil && p.GetStatus() != apiv1.PaymentStatus_PAYMENT_STATUS_PENDING
		})
		if i == 1 {
			continue
		}
		preimage, err := hex.DecodeString(p.GetPreimage())
		if err != nil || len(preimage) != 32 {
			t.Fatalf("preimage %q: %v", p.GetPreimage(), err)
		}
		preimages = append(preimages, preimage)
		for who, text := range before {
			mustNotHold(t, who+" before the claim", text, map[string][]string{"the preimage": forms(preimage)})
		}
	}
	provoke(t, alice, bob)
	alice.kill()
	bob.kill()

	secrets := map[*spied]map[string][]string{alice: secretsOf(t, alice), bob: secretsOf(t, bob)}
	proofs := map[string][]string{}
	for _, p := range preimages {
		proofs["a preimage"] = append(proofs["a preimage"], forms(p)...)
	}
	for _, s := range []*spied{alice, bob} {
		reports, err := crash.Reports(filepath.Join(s.dir, crash.DirName))
		if err != nil || s == bob && len(reports) == 0 {
			t.Fatalf("%d crash reports: %v", len(reports), err)
		}
		written := s.log.String()
		for _, r := range reports {
			raw, err := os.ReadFile(r)
			if err != nil {
				t.Fatal(err)
			}
			written += string(raw)
		}
		for _, owner := range []*spied{alice, bob} {
			mustNotHold(t, s.name+"'s log and reports", written, secrets[owner])
			mustNotHold(t, s.name+"'s answers", s.answers.String(), secrets[owner])
		}
		mustNotHold(t, s.name+"'s log and reports", written, proofs)
		if len(written) < 1000 || len(s.answers.String()) < 1000 {
			t.Error("nothing was kept")
		}
	}
	mustNotHold(t, "the payee's answers", bob.answers.String(), proofs)
	// What looks for secrets finds them where they may be.
	if found := alice.answers.String(); !strings.Contains(found, hex.EncodeToString(preimages[0])) {
		t.Error("the payer's answers lack the proof of payment")
	}
}

// look asks all that can be asked without effect.
func look(ctx context.Context, s *spied) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, _ = s.api.GetInfo(ctx, &apiv1.GetInfoRequest{})
	_, _ = s.api.GetHealth(ctx, &apiv1.GetHealthRequest{})
	_, _ = s.api.ListActors(ctx, &apiv1.ListActorsRequest{})
	_, _ = s.api.GetBalances(ctx, &apiv1.GetBalancesRequest{})
	_, _ = s.api.WalletBalance(ctx, &apiv1.WalletBalanceRequest{})
	_, _ = s.api.ListCoins(ctx, &apiv1.ListCoinsRequest{})
	_, _ = s.api.ListPeers(ctx, &apiv1.ListPeersRequest{})
	_, _ = s.api.ListChannels(ctx, &apiv1.ListChannelsRequest{})
	_, _ = s.api.ListClosedChannels(ctx, &apiv1.ListClosedChannelsRequest{})
	_, _ = s.api.ListPayments(ctx, &apiv1.ListPaymentsRequest{})
	_, _ = s.api.NextEvents(ctx, &apiv1.NextEventsRequest{Consumer: "spy"})
	_, _ = s.api.ListConsumers(ctx, &apiv1.ListConsumersRequest{})
}

// provoke makes errors of many kinds, a crash and a restart.
func provoke(t *testing.T, alice, bob *spied) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, s := range []*spied{alice, bob} {
		_, _ = s.api.Pay(ctx, &apiv1.PayRequest{Bolt11: "lnbcrt1nonsense", Id: "x"})
		_, _ = s.api.ClaimPayment(ctx, &apiv1.ClaimPaymentRequest{PaymentHash: strings.Repeat("00", 32)})
		_, _ = s.api.Send(ctx, &apiv1.SendRequest{Address: "nonsense", AmountSat: 1})
		_, _ = s.api.OpenChannel(ctx, &apiv1.OpenChannelRequest{NodeId: "02", CapacitySat: 1})
		tokens := []string{"", "wrong", strings.Repeat("ab", 32)}
		for _, scope := range []server.Scope{server.Read, server.Receive, server.Full} {
			raw, err := os.ReadFile(server.TokenFile(s.dir, scope))
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, strings.TrimSpace(string(raw)))
		}
		client := &http.Client{Transport: listen{&s.answers, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}} //nolint:gosec // a test
		for _, token := range tokens {
			for _, call := range []string{"GetInfo", "NewAddress", "Send", "ListActors", "Nothing"} {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.tcp+"/lnactor.api.v1.Node/"+call, strings.NewReader(`{"x":`))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+token)
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, resp.Body)
				if err = errors.Join(err, resp.Body.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}
		look(ctx, s)
	}
	// A second process on the directory, one with a wrong passphrase, and one with none: their errors are the node's as well.
	for _, start := range []struct{ dir, passphrase string }{
		{alice.dir, spiedPassphrase}, {alice.dir, "wrong"}, {copyOf(t, alice.dir, "seed"), "wrong"}, {copyOf(t, alice.dir, "seed"), ""},
	} {
		cmd := exec.CommandContext(ctx, filepath.Join(alice.bin, "lnactor"), "run", "--unattended", "-d", start.dir, "--log-level", "debug")
		cmd.Env = append(os.Environ(), "LNACTOR_PASSPHRASE="+start.passphrase)
		cmd.Stdout, cmd.Stderr = &alice.log, &alice.log
		if err := cmd.Run(); err == nil {
			t.Error("a process that can't run")
		}
	}
	// An actor dies over what it handles; the process is killed and begins again.
	if err := os.WriteFile(bob.faults, []byte("panic manager ouch"), 0o600); err != nil {
		t.Fatal(err)
	}
	poll(t, patience, "a crash report", func(ctx context.Context) bool {
		look(ctx, bob)
		files, err := crash.Reports(filepath.Join(bob.dir, crash.DirName))
		return err == nil && len(files) > 0
	})
	bob.kill()
	bob.run(t)
	look(ctx, bob)
}

// copyOf is a directory with a copy of one file.
func copyOf(t *testing.T, dir, name string) string {
	t.Helper()
	to := shortDir(t)
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, name), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}
