package record

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/shachain"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Check tests that reading what was written gives an equal value, and writing it again the same bytes (S10). Tests and simulations run it on
// every write; it costs several times what the write costs.
func (r *Record) Check(written []byte) error {
	got, err := Read(written)
	if err != nil {
		return err
	}
	return identical("MonitorRecord", r, got, written, got.Write)
}

// Check does it for a snapshot.
func (s *Snapshot) Check(written []byte) error {
	got, err := ReadSnapshot(written)
	if err != nil {
		return err
	}
	return identical("MonitorSnapshot", s, got, written, got.Write)
}

// CheckRow does it for a row.
func CheckRow(r Row, written messages.Row) error {
	got, err := ReadRow(written)
	if err != nil {
		return err
	}
	return identical("row of bucket "+written.Bucket, r, got, written.Value, func() []byte { return WriteRow(got).Value })
}

func identical(kind string, want, got any, written []byte, again func() []byte) error {
	if path := Differ(want, got); path != "" {
		return &CorruptError{Kind: kind, Err: fmt.Errorf("reading changed%s", path)}
	}
	if !bytes.Equal(written, again()) {
		return &CorruptError{Kind: kind, Err: fmt.Errorf("writing again changed the bytes")}
	}
	return nil
}

// Differ names the first place where two values differ, empty if they are equal. A slice or map without elements equals none; public keys and
// secret stores are compared by what they mean.
func Differ(a, b any) string { return differ(reflect.ValueOf(a), reflect.ValueOf(b)) }

// differ names the place as seen from a and b: it is put together on the way back, for most values are equal.
func differ(a, b reflect.Value) string {
	if a.IsValid() != b.IsValid() || a.IsValid() && a.Type() != b.Type() {
		return " (type)"
	}
	if !a.IsValid() {
		return ""
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return unless(a.IsNil() == b.IsNil(), " (nil)")
		}
		if a.CanInterface() {
			switch x := a.Interface().(type) {
			case *btcec.PublicKey:
				return unless(x.IsEqual(b.Interface().(*btcec.PublicKey)), " (key)")
			case *shachain.RevocationStore:
				y := b.Interface().(*shachain.RevocationStore)
				return unless(bytes.Equal(facts.EncodeSecrets(x), facts.EncodeSecrets(y)), " (secrets)")
			}
		}
		return differ(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if p := differ(a.Field(i), b.Field(i)); p != "" {
				return "." + a.Type().Field(i).Name + p
			}
		}
		return ""
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return fmt.Sprintf(" (%d elements or %d)", a.Len(), b.Len())
		}
		for i := range a.Len() {
			if p := differ(a.Index(i), b.Index(i)); p != "" {
				return fmt.Sprintf("[%d]%s", i, p)
			}
		}
		return ""
	case reflect.Map:
		if a.Len() != b.Len() {
			return fmt.Sprintf(" (%d elements or %d)", a.Len(), b.Len())
		}
		for it := a.MapRange(); it.Next(); {
			if p := differ(it.Value(), b.MapIndex(it.Key())); p != "" {
				return fmt.Sprintf("[%v]%s", it.Key(), p)
			}
		}
		return ""
	default:
		return unless(a.Equal(b), " (value)")
	}
}

func unless(equal bool, what string) string {
	if equal {
		return ""
	}
	return what
}
