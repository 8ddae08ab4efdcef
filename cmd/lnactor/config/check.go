package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// Check says what does not fit together. A configuration that passes can still fail at the start, when files and addresses are tried.
func (c *Config) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		v := c.get(key)
		errs = append(errs, wrong(v.Origin, "%s: %s", key, fmt.Sprintf(format, args...)))
	}
	network, chain := c.Text("network"), c.Chain()
	if network == "mainnet" && !c.Bool("i-accept-the-risk-of-mainnet") {
		bad("network", "mainnet needs --i-accept-the-risk-of-mainnet. The risks: this release has never run there; a fault in it, a "+
			"data directory that is rolled back or lost, or a node that is down for longer than its channels' delays can cost all the money in its wallet "+
			"and channels; there is no insurance and no way back")
	}
	if network != "regtest" && chain == "embedded" {
		bad("chain", "the embedded chain is a regtest chain, not %s", network)
	}
	if chain == "btcd" || chain == "rpcpoll" {
		if c.Text("rpc.url") == "" {
			bad("rpc.url", "chain %q needs it, such as http://127.0.0.1:8332", chain)
		}
		if (c.Text("rpc.user") == "") != (c.Text("rpc.password-file") == "") {
			bad("rpc.user", "rpc.user and rpc.password-file belong together")
		}
		if c.Text("rpc.user") != "" && c.Text("rpc.cookie-file") != "" {
			bad("rpc.cookie-file", "either it or rpc.user")
		}
	}
	if c.Text("serve-chain") != "" && chain != "embedded" {
		bad("serve-chain", "only the embedded chain is served, not %s", chain)
	}
	for _, key := range []string{"listen", "api.listen", "monitoring.listen", "serve-chain"} {
		if v := c.Text(key); v != "" {
			if err := address(v); err != nil {
				bad(key, "%v", err)
			}
		}
	}
	for _, peer := range c.List("neutrino.peers") {
		if strings.ContainsAny(peer, " \t/") {
			bad("neutrino.peers", "%q is not host:port", peer)
		}
	}
	if c.Number("events.max-events") < leastEvents {
		bad("events.max-events", "%d are the least", leastEvents)
	}
	if c.Number("events.webhook-attempts") == 0 {
		bad("events.webhook-attempts", "1 is the least")
	}
	for _, text := range c.List("events.webhooks") {
		if w, err := feed.ParseWebhook(text); err != nil {
			bad("events.webhooks", "%.40q: %v", w.Name, err)
		}
	}
	if _, err := c.Public(); err != nil {
		bad("public.color", "%v", err)
	}
	var policy *lnactor.PolicyError
	if _, err := c.Forwarding(); errors.As(err, &policy) {
		bad(policyKeys[policy.Field], "%v", err)
	}
	return errors.Join(errs...)
}

// leastEvents is what a burst of payments can bring while a consumer looks the other way.
const leastEvents = 100

func address(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not host:port", v)
	}
	return nil
}
