package neutrino

import (
	"encoding/binary"
	"io"
	"net"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

func lookupLiteral(host string) ([]net.IP, error) { return []net.IP{net.ParseIP(host)}, nil }

func lookupNothing(string) ([]net.IP, error) { return nil, nil }

// dialLiar connects to a peer whose blocks are tampered with on the way.
func dialLiar(addr net.Addr) (net.Conn, error) {
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	go func() { in.CloseWithError(tamper(conn, in)) }()
	return &liar{Conn: conn, out: out}, nil
}

type liar struct {
	net.Conn
	out *io.PipeReader
}

func (l *liar) Read(p []byte) (int, error) { return l.out.Read(p) }

func (l *liar) Close() error {
	l.out.Close()
	return l.Conn.Close()
}

// tamper copies messages: magic (4 bytes), command (12), length (4), checksum (4), payload. In a block it changes the last transaction.
func tamper(from io.Reader, to io.Writer) error {
	for {
		head := make([]byte, 24)
		if _, err := io.ReadFull(from, head); err != nil {
			return err
		}
		payload := make([]byte, binary.LittleEndian.Uint32(head[16:]))
		if _, err := io.ReadFull(from, payload); err != nil {
			return err
		}
		if string(head[4:10]) == "block\x00" {
			payload[len(payload)-1] ^= 1
			copy(head[20:], chainhash.DoubleHashB(payload)[:4])
		}
		if _, err := to.Write(slices.Concat(head, payload)); err != nil {
			return err
		}
	}
}
