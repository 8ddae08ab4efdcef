package persister_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/messages"
)

// TestRangeAfter: any prefix, any place to go on from and any limit give what a search of all keys gives.
func TestRangeAfter(t *testing.T) {
	keys := []string{"a", "b", "b1", "b2", "b22", "b3", "c"}
	disk, err := bboltstore.Open(t.TempDir(), bboltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	for name, s := range map[string]persister.Store{"memory": memstore.New(), "disk": disk} {
		b := &persister.Batch{}
		for _, k := range keys {
			b.Rows = append(b.Rows, messages.Row{Bucket: "x", Key: []byte(k), Value: []byte{1}})
		}
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
		for _, prefix := range append([]string{"", "d", "b4"}, keys...) {
			for _, after := range append([]string{"", "0", "b15", "z"}, keys...) {
				for limit := range len(keys) + 1 {
					var want, got []string
					for _, k := range keys {
						if strings.HasPrefix(k, prefix) && k > after && len(want) < limit {
							want = append(want, k)
						}
					}
					rows, err := s.Range("x", []byte(prefix), []byte(after), limit)
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range rows {
						got = append(got, string(r.Key))
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s: prefix %q after %q, %d at most: %q, want %q", name, prefix, after, limit, got, want)
					}
				}
			}
		}
	}
}
