package memstore

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lnactor/lnactor/actors/persister"
)

func batch(key uint64) *persister.Batch {
	return &persister.Batch{Append: []persister.Record{{Key: key, Owner: "a", Seq: key, Data: fmt.Append(nil, key)}}}
}

func length(s *Store) int { return len(s.live.log) }

func TestCrashDuringACommitLeavesAllOrNothing(t *testing.T) {
	s := New()
	seen := map[int]bool{}
	s.OnCommit(func(n uint64, _ *persister.Batch) Fault {
		if n == 3 {
			for i := range uint64(20) {
				seen[length(s.Crash(rand.New(rand.NewPCG(i, 0))))] = true
			}
			if states := s.CrashStates(); len(states) != 2 || length(states[0]) != 2 || length(states[1]) != 3 {
				t.Errorf("%d legal states", len(states))
			}
		}
		return None
	})
	for k := range uint64(3) {
		if err := s.Commit(batch(k + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 || !seen[2] || !seen[3] {
		t.Fatalf("crashes left %v records, want 2 and 3", seen)
	}
	if got := length(s.Crash(rand.New(rand.NewPCG(0, 0)))); got != 3 {
		t.Fatalf("a crash after the commit left %d records", got)
	}
}

func TestUnsyncedCommitsSurviveAsAPrefix(t *testing.T) {
	s := New()
	s.SetUnsynced(true)
	for k := range uint64(5) {
		if k == 2 {
			s.Sync()
		}
		if err := s.Commit(batch(k + 1)); err != nil {
			t.Fatal(err)
		}
	}
	var left []int
	for _, c := range s.CrashStates() {
		left = append(left, length(c))
	}
	if fmt.Sprint(left) != "[2 3 4 5]" || length(s.Clone()) != 5 {
		t.Fatalf("legal states hold %v records", left)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	s := New()
	c := s.Clone()
	if err := s.Commit(batch(1)); err != nil {
		t.Fatal(err)
	}
	if length(c) != 0 {
		t.Fatal("a commit shows in an older clone")
	}
}

func TestAPanickingHookIsACrash(t *testing.T) {
	s := New()
	s.OnCommit(func(uint64, *persister.Batch) Fault { panic("killed") })
	func() {
		defer func() { _ = recover() }()
		_ = s.Commit(batch(1))
		t.Error("the panic got lost")
	}()
	if states := s.CrashStates(); len(states) != 2 {
		t.Fatalf("%d legal states, want before and after", len(states))
	}
	if err := s.Commit(batch(2)); err == nil {
		t.Fatal("a store whose commit panicked still commits")
	}
}
