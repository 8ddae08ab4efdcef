package neutrino

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	lib "github.com/lightninglabs/neutrino"
	"github.com/lightninglabs/neutrino/banman"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

func refusal(peer string, code wire.RejectCode, reason string) verdict {
	return verdict{peer: peer, reject: &wire.MsgReject{Cmd: "tx", Code: code, Reason: reason}}
}

func TestConclude(t *testing.T) {
	low := refusal("a:1", wire.RejectInsufficientFee, "insufficient priority")
	conflict := refusal("b:1", wire.RejectDuplicate, "output already spent by transaction in the memory pool")
	conflict2 := refusal("c:1", wire.RejectDuplicate, "txn-mempool-conflict")
	away := verdict{peer: "d:1", gone: true}
	silent := verdict{peer: "e:1"}
	for name, c := range map[string]struct {
		all  []verdict
		code chain.BroadcastCode // 0: no BroadcastError
		err  error
	}{
		"nobody there":         {nil, 0, chain.ErrUnreachable},
		"all gone":             {[]verdict{away, away}, 0, chain.ErrUnreachable},
		"they have it":         {[]verdict{silent, away}, 0, nil},
		"one refuses":          {[]verdict{low, silent, away}, chain.BroadcastFeeTooLow, nil},
		"most say":             {[]verdict{low, conflict, conflict2}, chain.BroadcastConflict, nil},
		"a draw, in any order": {[]verdict{low, conflict}, chain.BroadcastConflict, nil},
		"a draw, turned":       {[]verdict{conflict, low}, chain.BroadcastConflict, nil},
	} {
		err := conclude(chainhash.Hash{1}, c.all)
		var be *chain.BroadcastError
		switch {
		case errors.As(err, &be):
			if be.Code != c.code || be.Txid != (chainhash.Hash{1}) {
				t.Errorf("%s: %v", name, err)
			}
		case c.code != 0 || !errors.Is(err, c.err):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		code   wire.RejectCode
		reason string
		want   chain.BroadcastCode
	}{
		{wire.RejectDuplicate, "already have transaction in mempool 00", chain.BroadcastInMempool},
		{wire.RejectDuplicate, "txn-already-in-mempool", chain.BroadcastInMempool},
		{wire.RejectDuplicate, "transaction already exists in blockchain", chain.BroadcastConfirmed},
		{wire.RejectDuplicate, "txn-already-known", chain.BroadcastConfirmed},
		{wire.RejectDuplicate, "something new", chain.BroadcastConflict},
		{wire.RejectInvalid, "bad-txns-inputs-missingorspent", chain.BroadcastMissingInputs},
		{wire.RejectNonstandard, "non-final", chain.BroadcastNotFinal},
		{wire.RejectNonstandard, "non-BIP68-final", chain.BroadcastNotFinal},
		{wire.RejectNonstandard, "transaction is not finalized", chain.BroadcastNotFinal},
		{wire.RejectInsufficientFee, "min relay fee not met", chain.BroadcastFeeTooLow},
		{wire.RejectInvalid, "bad-txns-in-belowout", chain.BroadcastRejected},
		{wire.RejectNonstandard, "dust", chain.BroadcastRejected},
		{0xff, "", chain.BroadcastRejected},
	} {
		if got := codeOf(&wire.MsgReject{Code: c.code, Reason: c.reason}); got != c.want {
			t.Errorf("%v %q: %v, want %v", c.code, c.reason, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	right, other := &chaincfg.SigNetParams, &chaincfg.MainNetParams
	foreign := finding{peer: "a:1", network: other}
	for name, c := range map[string]struct {
		found []finding
		want  error
	}{
		"nobody answers":                {[]finding{{}, {}}, nil},
		"all of another network":        {[]finding{foreign, foreign}, chain.ErrWrongChain},
		"those that answer are":         {[]finding{{}, foreign}, chain.ErrWrongChain},
		"one is right":                  {[]finding{foreign, {network: right}}, nil},
		"one is banned, so it is right": {[]finding{foreign, {banned: banman.InvalidBlock}}, chain.ErrInvalidBlock},
		"a liar":                        {[]finding{{banned: banman.InvalidFilterHeader}}, chain.ErrInvalidBlock},
		"no filters":                    {[]finding{{banned: banman.NoCompactFilters}}, chain.ErrUnreachable},
	} {
		err := judge(right, c.found)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != chain.ErrWrongChain && errors.Is(err, chain.ErrWrongChain) {
			t.Errorf("%s stops the node: %v", name, err)
		}
	}
}

// Peers that are away for a moment are not asked, and not each time.
func TestProbeIsRare(t *testing.T) {
	p := &prober{cfg: Config{patience: 30 * time.Second, retry: 10 * time.Minute}}
	at := time.Unix(1_800_000_000, 0)
	for i, c := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {29 * time.Second, false}, {time.Second, true}, {0, false}, {9 * time.Minute, false}, {time.Minute, true}} {
		at = at.Add(c.after)
		if got := p.due(at); got != c.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	p.found()
	if p.due(at.Add(time.Hour)) {
		t.Error("a peer had been there meanwhile")
	}
}

func TestStaleHeaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := openDB(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStale(db)
	if err != nil {
		t.Fatal(err)
	}
	header := func(i int) wire.BlockHeader {
		return wire.BlockHeader{Nonce: uint32(i), Timestamp: time.Unix(int64(i), 0)}
	}
	for i := range staleLimit + 10 {
		for range 2 { // it may leave the chain more than once
			if err := s.add(header(i), int32(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func() {
		t.Helper()
		for i := range staleLimit + 10 {
			h := header(i)
			got, height, ok := s.get(h.BlockHash())
			if ok != (i >= 10) || ok && (got.BlockHash() != h.BlockHash() || height != int32(i)) {
				t.Fatalf("header %d: %v, %d, %v", i, got, height, ok)
			}
		}
	}
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = openDB(path); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if s, err = openStale(db); err != nil {
		t.Fatal(err)
	}
	check()
	if err := s.add(header(-1), 1); err != nil { // goes on behind what was there
		t.Fatal(err)
	}
	if _, _, ok := s.get(func() chainhash.Hash { h := header(10); return h.BlockHash() }()); ok {
		t.Error("more than the limit is kept")
	}
}

// Who gives up does not end the question for the others, and who asks again joins it.
func TestFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Source{}
		s.life, s.closing = context.WithCancel(t.Context())
		var f flights[int]
		asked := 0
		slow := func() (int, error) { asked++; time.Sleep(time.Minute); return asked, nil }
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.do(short, s, chainhash.Hash{1}, slow); !errors.Is(err, errGaveUp) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if n, err := f.do(t.Context(), s, chainhash.Hash{1}, slow); n != 1 || err != nil {
			t.Error(n, err)
		}
		if n, err := f.do(t.Context(), s, chainhash.Hash{1}, slow); n != 2 || err != nil {
			t.Errorf("an answer is not kept: %d, %v", n, err)
		}
		s.closing()
		if _, err := f.do(t.Context(), s, chainhash.Hash{2}, slow); !errors.Is(err, chain.ErrClosed) {
			t.Error(err)
		}
		s.work.Wait()
	})
}

func TestHandedOutIsBounded(t *testing.T) {
	var h handedOut
	for i := range int32(3 * handedLimit) {
		h.add(chainhash.Hash{}, i)
		if !h.has(chainhash.Hash{}, i) || len(h.taken) > handedLimit {
			t.Fatalf("after %d: %d kept", i, len(h.taken))
		}
	}
	h.remove(chainhash.Hash{}, 3*handedLimit-1)
	if h.has(chainhash.Hash{}, 3*handedLimit-1) {
		t.Error("not removed")
	}
}

// What was found out is said until a peer is back, and a ban of the only peer ends by itself.
func TestVerdictStays(t *testing.T) {
	db, err := openDB(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	synctest.Test(t, func(t *testing.T) {
		bans, err := banman.NewStore(db)
		if err != nil {
			t.Fatal(err)
		}
		ip, err := banman.ParseIPNet("192.0.2.1:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := bans.BanIPNet(ip, banman.NoCompactFilters, lib.BanDuration); err != nil {
			t.Fatal(err)
		}
		cfg := Config{
			Params: &chaincfg.RegressionNetParams, Peers: []string{"192.0.2.1:1"}, Lookup: lookupLiteral,
			Dial: func(net.Addr) (net.Conn, error) { return nil, errors.New("nobody there") }, patience: 30 * time.Second, retry: 10 * time.Minute,
		}
		p := &prober{cfg: cfg, bans: bans}
		if err := p.missing(t.Context()); err != nil {
			t.Errorf("at once: %v", err)
		}
		time.Sleep(cfg.patience)
		for range 2 {
			if err := p.missing(t.Context()); !errors.Is(err, chain.ErrUnreachable) {
				t.Errorf("after a while: %v", err)
			}
			time.Sleep(time.Minute)
		}
		p.found()
		if err := p.missing(t.Context()); err != nil {
			t.Errorf("after a peer was there: %v", err)
		}
		if status, err := bans.Status(ip); err != nil || !status.Banned {
			t.Errorf("the ban ended too soon: %+v, %v", status, err)
		}
		time.Sleep(cfg.retry)
		_ = p.missing(t.Context())
		if status, err := bans.Status(ip); err != nil || status.Banned {
			t.Errorf("the ban of the only peer has not ended: %+v, %v", status, err)
		}
	})
}
