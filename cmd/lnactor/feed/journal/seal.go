package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"
)

// Entry is an event in the journal. Its JSON is how events are told everywhere: in the journal's lines, by the command, to webhooks.
type Entry struct {
	Feed string          `json:"feed,omitempty"` // Options.Feed when it was written
	Seq  uint64          `json:"seq"`
	ID   string          `json:"id"`
	Time time.Time       `json:"time"` // of writing, not of what happened; it never goes back
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// line is an Entry with what only the journal needs.
type line struct {
	Entry
	Synced uint64 `json:"synced"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The end of a sealed line, between the two parts the checksum of all before it.
const sealHead, sealTail = `,"crc32c":"`, `"}`

const sealSize = len(sealHead) + 8 + len(sealTail)

// Seal makes a JSON object a line that proves to be whole: its last member is the CRC-32C of what precedes it.
func Seal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(b) < 3 || b[0] != '{' {
		return nil, fmt.Errorf("%s is no object with members", b)
	}
	b = b[:len(b)-1]
	return fmt.Appendf(b, "%s%08x%s\n", sealHead, crc32.Checksum(b, castagnoli), sealTail), nil
}

// Unseal reads a sealed line, with or without its end, into v.
func Unseal(text []byte, v any) error {
	text = bytes.TrimSuffix(text, []byte("\n"))
	at := len(text) - sealSize
	if at < 2 {
		return fmt.Errorf("%d bytes are no sealed line", len(text))
	}
	if want := fmt.Sprintf("%s%08x%s", sealHead, crc32.Checksum(text[:at], castagnoli), sealTail); string(text[at:]) != want {
		return fmt.Errorf("its checksum is wrong")
	}
	return json.Unmarshal(text, v)
}
