package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind says what a setting's value looks like.
type kind uint8

const (
	text kind = iota
	boolean
	number
	duration
	list // of texts
)

// Setting is one thing that can be configured. Key is its name in the file; a dot makes a table.
type Setting struct {
	Key     string
	Default string // as it would be given as a flag
	Help    string // one line or more, for the sample
	Short   string // for the flag
	kind    kind
	choices []string
}

// Flag is the setting's flag without dashes.
func (s *Setting) Flag() string { return strings.ReplaceAll(s.Key, ".", "-") }

// Env is the setting's environment variable.
func (s *Setting) Env() string {
	return "LNACTOR_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.Key))
}

// Bool tells whether the flag needs no value.
func (s *Setting) Bool() bool { return s.kind == boolean }

// Settings is the one list.
var Settings = []Setting{
	{Key: "network", Default: "regtest", choices: []string{"regtest", "simnet", "testnet", "signet", "mainnet"}, Short: "network to run on: regtest, simnet, testnet, signet or mainnet", Help: "The network: regtest, simnet, testnet, signet or mainnet.\nA data directory belongs to one network for ever."},
	{Key: "i-accept-the-risk-of-mainnet", Default: "false", kind: boolean, Short: "run on mainnet although you can lose all the money", Help: "Needed for mainnet. This release is not known to be safe there: it has never run on\nmainnet, and all the money in its wallet and channels can be lost."},
	{Key: "chain", Default: "", choices: []string{"", "embedded", "btcd", "rpcpoll", "neutrino"}, Short: "chain source: embedded, btcd, rpcpoll or neutrino", Help: "Where the chain is seen through: embedded (regtest only), btcd, rpcpoll (bitcoind, btcd,\nor another node's --serve-chain) or neutrino. Empty: embedded on regtest, else neutrino."},
	{Key: "serve-chain", Default: "", Short: "serve the embedded chain at this loopback address, for rpcpoll", Help: "Serves the embedded chain over JSON-RPC, so that other nodes on this machine can use it\nwith chain = \"rpcpoll\". Loopback only, such as \"127.0.0.1:18443\". Empty: not served."},
	{Key: "listen", Default: "", Short: "address for peers, such as 0.0.0.0:9735", Help: "The address for peers, such as \"0.0.0.0:9735\". Empty: peers can't connect to this node;\nit can still connect to them."},
	{Key: "manual-claim", Default: "false", kind: boolean, Short: "ask about each incoming payment: lnactor claim or refuse", Help: "Incoming payments wait for 'lnactor claim' or 'lnactor refuse' instead of being claimed at once.\nA start without it claims all that wait by then, but for hold invoices."},
	{Key: "accept-keysend", Default: "false", kind: boolean, Short: "take payments that nobody asked for (keysend)", Help: "Takes payments without an invoice, of any amount, by whoever knows this node's key."},
	{Key: "min-depth", Default: "3", kind: number, Short: "confirmations before a channel funded by others is used", Help: "Confirmations before a channel that others fund can be used."},
	{Key: "fee-url", Default: "", Short: "URL of fee estimates, for a source that has none", Help: "Fee estimates in lnd's web format, for a chain source that has none of its own (neutrino)."},
	{Key: "fee-per-kw", Default: "0", kind: number, Short: "fee rate for when nothing has an estimate", Help: "Satoshis per 1000 weight units for when nothing has an estimate. 0: 253 on regtest and\nsimnet; elsewhere no channels are opened without an estimate."},
	{Key: "keep-commitment-fees", Default: "false", kind: boolean, Short: "do not follow the fee estimates with commitment transactions", Help: "The fee rate of commitment transactions that this node pays is only changed by 'lnactor set-fee'.\nElse it follows the fee estimates in large steps, as far as there are any."},
	{Key: "max-commitment-fee-per-kw", Default: "2500", kind: number, Short: "highest fee rate that commitment transactions follow the estimates to", Help: "How far they follow, in satoshis per 1000 weight units. 2500 are 10 sat/vB: what is needed\nbeyond that their anchors pay."},
	{Key: "passphrase-file", Default: "", Short: "file with the passphrase of the seed", Help: "A file, mode 0600, with the passphrase of the seed. Empty: LNACTOR_PASSPHRASE, or a prompt\non a terminal, or an empty passphrase."},
	{Key: "unattended", Default: "false", kind: boolean, Short: "make the seed without showing its words", Help: "The first start makes a seed without showing its words, and nothing is ever asked for.\nWrite the words down later: lnactor seed."},
	{Key: "stop-limit", Default: "30s", kind: duration, Short: "how long a stop may take", Help: "How long a stop may wait for what is under way. Nothing is lost when it is cut short."},

	{Key: "public.alias", Default: "", Short: "name of the node that everybody sees, once it has a public channel", Help: "The name that everybody sees once the node has a public channel; at most 32 bytes."},
	{Key: "public.color", Default: "000000", Short: "colour of the node, six hexadecimal digits", Help: "Its colour, six hexadecimal digits."},
	{Key: "public.addresses", Default: "", kind: list, Short: "IP:port under which everybody can connect to the node", Help: "IP:port under which everybody can connect to the node. Empty: none is told."},

	{Key: "forwarding.base-msat", Default: "0", kind: number, Short: "fee of each forwarded HTLC, in millisatoshis", Help: "What channels ask for forwarding, unless 'lnactor channels policy' gives one its own: fee of\neach HTLC in millisatoshis, and in millionths of the amount."},
	{Key: "forwarding.ppm", Default: "0", kind: number, Short: "fee in millionths of the amount"},
	{Key: "forwarding.cltv-delta", Default: "80", kind: number, Short: "blocks between the expiries of a forwarded HTLC", Help: "Blocks between the expiries of the two HTLCs; at least 46."},
	{Key: "forwarding.min-htlc-msat", Default: "1", kind: number, Short: "least amount that is forwarded, in millisatoshis", Help: "Least amount that is forwarded, in millisatoshis."},
	{Key: "forwarding.max-htlc-sat", Default: "0", kind: number, Short: "most in one HTLC that a channel offers; 0: what it can carry", Help: "Most in one HTLC that a channel offers, most in all of them together, own payments included.\n0: what the channel can carry, what the peer takes."},
	{Key: "forwarding.max-in-flight-sat", Default: "0", kind: number, Short: "most in all HTLCs that a channel offers; 0: what the peer takes"},
	{Key: "forwarding.max-dust-sat", Default: "5000", kind: number, Short: "most in HTLCs of a channel that are too small for an output", Help: "Most in HTLCs that are too small for an output of the commitment transaction: fees take them\nif it confirms. More of ours is not offered, more of the peer's is failed."},

	{Key: "rpc.url", Default: "", Short: "URL of the node for btcd and rpcpoll", Help: "For chain = \"btcd\" and \"rpcpoll\": such as \"http://127.0.0.1:8332\"."},
	{Key: "rpc.user", Default: "", Short: "user of rpc.url", Help: "User, and a file (mode 0600) with the password."},
	{Key: "rpc.password-file", Default: "", Short: "file with the password of rpc.url", Help: ""},
	{Key: "rpc.cookie-file", Default: "", Short: "cookie file of bitcoind, instead of user and password", Help: "The file that bitcoind writes at each start, instead of user and password."},
	{Key: "rpc.cert-file", Default: "", Short: "certificate of rpc.url, for https", Help: "PEM certificate of the server, for https. Empty: those of the system."},
	{Key: "rpc.interval", Default: "5s", kind: duration, Short: "how often rpcpoll looks for a new block", Help: "How often rpcpoll looks for a new block."},

	{Key: "neutrino.peers", Default: "", kind: list, Short: "peers of the light client; empty: the network's DNS seeds", Help: "host:port of peers. Empty: those that the network's DNS seeds name."},

	{Key: "api.socket", Default: "", Short: "unix socket of the API; empty: api.sock in the data directory", Help: "The unix socket, mode 0600. Empty: api.sock in the data directory."},
	{Key: "api.listen", Default: "", Short: "address of the API over TLS, with tokens", Help: "An address for the API over TCP as well, with TLS and tokens. Empty: none."},

	{Key: "monitoring.listen", Default: "", Short: "address of /metrics, /healthz and /readyz, such as 127.0.0.1:9835", Help: "An address for /metrics (Prometheus), /healthz and /readyz, over HTTP without a password: keep\nit on loopback or behind a firewall, such as \"127.0.0.1:9835\". Empty: none."},

	{Key: "events.max-events", Default: "1000000", kind: number, Short: "most events that the feed keeps", Help: "The feed of events keeps so many events, and none for longer than max-age. A consumer that\nlags further behind is expired: it is told so, and nothing is skipped silently."},
	{Key: "events.max-age", Default: "720h", kind: duration, Short: "how long the feed keeps an event", Help: ""},
	{Key: "events.webhooks", Default: "", kind: list, Short: "where events are sent to: NAME=URL, ...", Help: "NAME=URL of endpoints that events are sent to (docs/events.md). https, or http to this machine."},
	{Key: "events.webhook-secret-file", Default: "", Short: "file with the secret that webhooks are signed with", Help: "A file, mode 0600, with the secret that these are signed with (whsec_...). Empty: each has its\nown, made at the first start, in the file events/secret-NAME of the data directory."},
	{Key: "events.webhook-attempts", Default: "60", kind: number, Short: "attempts before an event is a dead letter", Help: "How often an event is sent before it is put on the list of dead letters. 60 take some 12 hours."},

	{Key: "log.level", Default: "info", choices: []string{"debug", "info", "warn", "error"}, Short: "debug, info, warn or error", Help: "debug, info, warn or error."},
	{Key: "log.format", Default: "auto", choices: []string{"auto", "text", "json"}, Short: "auto, text or json", Help: "text, json, or auto: text on a terminal, else JSON."},
}

// check says why a value can't be the setting's.
func (s *Setting) check(v string) error {
	var err error
	switch s.kind {
	case boolean:
		if v != "true" && v != "false" {
			return fmt.Errorf("%q is neither true nor false", v)
		}
	case number:
		if _, err = strconv.ParseUint(v, 10, 32); err != nil {
			return fmt.Errorf("%q is not a number from 0 to 4294967295", v)
		}
	case duration:
		if d, err := time.ParseDuration(v); err != nil || d <= 0 {
			return fmt.Errorf("%q is not a time such as 30s or 5m", v)
		}
	default:
		if strings.ContainsAny(v, "\x00\n\r") {
			return fmt.Errorf("%q holds a line break or a zero byte", v)
		}
	}
	if s.choices != nil && !slices.Contains(s.choices, v) {
		var names []string
		for _, c := range s.choices {
			if c != "" {
				names = append(names, c)
			}
		}
		return fmt.Errorf("%q is none of %s", v, strings.Join(names, ", "))
	}
	return nil
}

// fromTOML is a value of the file as text; ok is false if it has the wrong type.
func (s *Setting) fromTOML(v any) (value string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, s.kind == text || s.kind == duration
	case bool:
		return strconv.FormatBool(v), s.kind == boolean
	case int64:
		return strconv.FormatInt(v, 10), s.kind == number
	case []any:
		var parts []string
		for _, e := range v {
			t, isText := e.(string)
			if !isText || strings.Contains(t, ",") {
				return "", false
			}
			parts = append(parts, t)
		}
		return strings.Join(parts, ","), s.kind == list
	}
	return "", false
}

// toTOML writes a value as the file has it.
func (s *Setting) toTOML(v string) string {
	switch s.kind {
	case boolean, number:
		return v
	case list:
		var parts []string
		for _, p := range splitList(v) {
			parts = append(parts, strconv.Quote(p))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return strconv.Quote(v)
}

func splitList(v string) (out []string) {
	for _, p := range strings.Split(v, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// shape names what a setting's value looks like in the file.
func (s *Setting) shape() string {
	return [...]string{"a text in quotes", "true or false", "a number", "a time in quotes", "a list of texts"}[s.kind]
}
