package peers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/lnactor/lnactor"
)

// lnd's REST interface: 64 bit numbers are strings, bytes are base64.

type lndInfo struct {
	ID     string `json:"identity_pubkey"`
	Height int32  `json:"block_height"`
	Synced bool   `json:"synced_to_chain"`
}

type lndChannel struct {
	Active       bool   `json:"active"`
	Peer         string `json:"remote_pubkey"`
	SCID         string `json:"chan_id"`
	Point        string `json:"channel_point"`
	Capacity     uint64 `json:"capacity,string"`
	Local        uint64 `json:"local_balance,string"`
	Remote       uint64 `json:"remote_balance,string"`
	CommitFee    uint64 `json:"commit_fee,string"`
	FeePerKw     uint32 `json:"fee_per_kw,string"`
	Unsettled    uint64 `json:"unsettled_balance,string"`
	Initiator    bool   `json:"initiator"`
	Private      bool   `json:"private"`
	Updates      uint64 `json:"num_updates,string"`
	PendingHTLCs []struct {
		Incoming bool   `json:"incoming"`
		Amount   uint64 `json:"amount,string"`
	} `json:"pending_htlcs"`
	Status string `json:"chan_status_flags"`
}

type lndPayment struct {
	Hash     string `json:"payment_hash"`
	Status   string `json:"status"`
	Preimage string `json:"payment_preimage"`
	Value    uint64 `json:"value_msat,string"`
	Failure  string `json:"failure_reason"`
	HTLCs    []struct {
		Status  string `json:"status"`
		Failure *struct {
			Code   string `json:"code"`
			Source uint32 `json:"failure_source_index"`
		} `json:"failure"`
	} `json:"htlcs"`
}

type lndInvoice struct {
	State  string `json:"state"`
	Paid   uint64 `json:"amt_paid_msat,string"`
	Bolt11 string `json:"payment_request"`
	Hash   []byte `json:"r_hash"`
	HTLCs  []struct {
		State string `json:"state"`
	} `json:"htlcs"`
}

type lndWallet struct {
	Confirmed   int64 `json:"confirmed_balance,string"`
	Unconfirmed int64 `json:"unconfirmed_balance,string"`
}

type lndPending struct {
	Limbo       int64 `json:"total_limbo_balance,string"`
	ForceCloses []struct {
		Limbo int64 `json:"limbo_balance,string"`
	} `json:"pending_force_closing_channels"`
	Waiting []struct {
		Limbo int64 `json:"limbo_balance,string"`
	} `json:"waiting_close_channels"`
	Opens []struct {
		Channel struct {
			Point string `json:"channel_point"`
		} `json:"channel"`
	} `json:"pending_open_channels"`
}

type lndClosed struct {
	Point     string `json:"channel_point"`
	CloseType string `json:"close_type"`
	Settled   int64  `json:"settled_balance,string"`
}

// call makes one request; answer may be nil.
func (l *lndNode) call(ctx context.Context, method, path string, body, answer any) error {
	rsp, err := l.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	if answer == nil {
		answer = &struct{}{}
	}
	err = json.NewDecoder(rsp.Body).Decode(answer)
	_, _ = io.Copy(io.Discard, rsp.Body) // else the connection is not used again
	return err
}

func (l *lndNode) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+l.rest+path, in)
	if err != nil {
		return nil, err
	}
	rsp, err := l.http.Do(req)
	if err != nil {
		return nil, err
	}
	if rsp.StatusCode != http.StatusOK {
		defer rsp.Body.Close()
		text, _ := io.ReadAll(rsp.Body)
		return nil, fmt.Errorf("lnd: %s %s: %s", method, path, text)
	}
	return rsp, nil
}

func (l *lndNode) get(ctx context.Context, path string, answer any) error {
	return l.call(ctx, http.MethodGet, path, nil, answer)
}

func (l *lndNode) post(ctx context.Context, path string, body, answer any) error {
	return l.call(ctx, http.MethodPost, path, body, answer)
}

// connect makes a lasting connection to a node.
func (l *lndNode) connect(ctx context.Context, id lnactor.NodeID, addr string) error {
	return l.post(ctx, "/v1/peers", map[string]any{"addr": map[string]any{"pubkey": id.String(), "host": addr}, "perm": true}, nil)
}

func (l *lndNode) disconnect(t testing.TB, ctx context.Context, id lnactor.NodeID) {
	t.Helper()
	must(t, l.call(ctx, http.MethodDelete, "/v1/peers/"+id.String(), nil, nil))
}

func (l *lndNode) connected(ctx context.Context, id lnactor.NodeID) bool {
	var a struct {
		Peers []struct {
			ID string `json:"pub_key"`
		} `json:"peers"`
	}
	if l.get(ctx, "/v1/peers", &a) != nil {
		return false
	}
	for _, p := range a.Peers {
		if p.ID == id.String() {
			return true
		}
	}
	return false
}

func (l *lndNode) newAddress(t testing.TB, ctx context.Context) string {
	t.Helper()
	var a struct {
		Address string `json:"address"`
	}
	must(t, l.get(ctx, "/v1/newaddress", &a))
	return a.Address
}

func (l *lndNode) wallet(t testing.TB, ctx context.Context) lndWallet {
	t.Helper()
	var w lndWallet
	must(t, l.get(ctx, "/v1/balance/blockchain", &w))
	return w
}

func (l *lndNode) channels(ctx context.Context) ([]lndChannel, error) {
	var a struct {
		Channels []lndChannel `json:"channels"`
	}
	err := l.get(ctx, "/v1/channels", &a)
	return a.Channels, err
}

func (l *lndNode) channel(ctx context.Context, point string) (lndChannel, error) {
	list, err := l.channels(ctx)
	if err != nil {
		return lndChannel{}, err
	}
	for _, c := range list {
		if c.Point == point {
			return c, nil
		}
	}
	return lndChannel{}, errors.New("lnd has no channel " + point)
}

// knows tells whether a channel is in lnd's graph with lnd's own side of it, where it looks for routes; that comes a second after the channel is active,
// in two steps.
func (l *lndNode) knows(ctx context.Context, c lndChannel) bool {
	e, err := l.edge(ctx, c.SCID)
	return err == nil && e.policy(l.ID) != nil
}

// lndEdge is a channel in lnd's graph.
type lndEdge struct {
	One       string     `json:"node1_pub"`
	Two       string     `json:"node2_pub"`
	OnePolicy *lndPolicy `json:"node1_policy"`
	TwoPolicy *lndPolicy `json:"node2_policy"`
}

// lndPolicy is what a node asks for forwarding over a channel.
type lndPolicy struct {
	Base    uint64 `json:"fee_base_msat,string"`
	PPM     uint64 `json:"fee_rate_milli_msat,string"`
	Delta   uint32 `json:"time_lock_delta"`
	MinMsat uint64 `json:"min_htlc,string"`
	MaxMsat uint64 `json:"max_htlc_msat,string"`
}

// policy is what a node asks for in the channel, nil if nobody has heard.
func (e lndEdge) policy(of lnactor.NodeID) *lndPolicy {
	switch of.String() {
	case e.One:
		return e.OnePolicy
	case e.Two:
		return e.TwoPolicy
	}
	return nil
}

func (l *lndNode) edge(ctx context.Context, scid string) (e lndEdge, err error) {
	err = l.get(ctx, "/v1/graph/edge/"+scid, &e)
	return e, err
}

// setPolicy changes what lnd asks for forwarding over one of its channels. The least amount stays if none is given, and the most always.
func (l *lndNode) setPolicy(ctx context.Context, point string, p lndPolicy) error {
	txid, index, _ := strings.Cut(point, ":")
	n, err := strconv.Atoi(index)
	if err != nil {
		return err
	}
	var a struct {
		Failed []struct {
			Error string `json:"update_error"`
		} `json:"failed_updates"`
	}
	err = l.post(ctx, "/v1/chanpolicy", map[string]any{
		"chan_point":    map[string]any{"funding_txid_str": txid, "output_index": n},
		"base_fee_msat": fmt.Sprint(p.Base), "fee_rate_ppm": p.PPM, "time_lock_delta": p.Delta,
		"min_htlc_msat": fmt.Sprint(p.MinMsat), "min_htlc_msat_specified": p.MinMsat > 0,
	}, &a)
	if err == nil && len(a.Failed) > 0 {
		err = errors.New("lnd: set policy: " + a.Failed[0].Error)
	}
	return err
}

func (l *lndNode) pending(t testing.TB, ctx context.Context) lndPending {
	t.Helper()
	var p lndPending
	must(t, l.get(ctx, "/v1/channels/pending", &p))
	return p
}

func (l *lndNode) closed(t testing.TB, ctx context.Context) []lndClosed {
	t.Helper()
	var a struct {
		Channels []lndClosed `json:"channels"`
	}
	must(t, l.get(ctx, "/v1/channels/closed", &a))
	return a.Channels
}

// openChannel opens a channel with the wallet's money; private unless said otherwise.
func (l *lndNode) openChannel(ctx context.Context, to lnactor.NodeID, sat, pushSat int64, more map[string]any) error {
	req := map[string]any{
		"node_pubkey_string": to.String(), "local_funding_amount": fmt.Sprint(sat), "push_sat": fmt.Sprint(pushSat),
		"private": true, "sat_per_vbyte": "5", "spend_unconfirmed": true,
	}
	for k, v := range more {
		req[k] = v
	}
	return l.post(ctx, "/v1/channels", req, nil)
}

// closeChannel starts the end of a channel and returns after lnd's first word about it.
func (l *lndNode) closeChannel(ctx context.Context, point string, force bool, more ...string) error {
	txid, index, _ := bytes.Cut([]byte(point), []byte(":"))
	path := fmt.Sprintf("/v1/channels/%s/%s?force=%v", txid, index, force)
	if !force {
		path += "&sat_per_vbyte=5"
	}
	for _, m := range more {
		path += "&" + m
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rsp, err := l.open(ctx, http.MethodDelete, path, nil)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	var a struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(rsp.Body).Decode(&a); err != nil {
		return err
	}
	if a.Error != nil {
		return errors.New("lnd: close channel: " + a.Error.Message)
	}
	return nil
}

// invoice makes an invoice; 0 leaves the amount to the payer.
func (l *lndNode) invoice(ctx context.Context, msat uint64, more map[string]any) (lndInvoice, error) {
	req := map[string]any{"value_msat": fmt.Sprint(msat), "memo": "test"}
	for k, v := range more {
		req[k] = v
	}
	var a lndInvoice
	err := l.post(ctx, "/v1/invoices", req, &a)
	return a, err
}

// holdInvoice makes an invoice that lnd does not settle by itself.
func (l *lndNode) holdInvoice(ctx context.Context, preimage lnactor.Preimage, msat uint64) (string, error) {
	hash := sha256.Sum256(preimage[:])
	var a lndInvoice
	err := l.post(ctx, "/v2/invoices/hodl", map[string]any{"hash": base64.StdEncoding.EncodeToString(hash[:]), "value_msat": fmt.Sprint(msat)}, &a)
	return a.Bolt11, err
}

func (l *lndNode) settle(ctx context.Context, preimage lnactor.Preimage) error {
	return l.post(ctx, "/v2/invoices/settle", map[string]any{"preimage": base64.StdEncoding.EncodeToString(preimage[:])}, nil)
}

func (l *lndNode) cancel(ctx context.Context, hash []byte) error {
	return l.post(ctx, "/v2/invoices/cancel", map[string]any{"payment_hash": base64.StdEncoding.EncodeToString(hash)}, nil)
}

func (l *lndNode) lookup(ctx context.Context, hash []byte) (lndInvoice, error) {
	var a lndInvoice
	err := l.get(ctx, "/v1/invoice/"+hex.EncodeToString(hash), &a)
	return a, err
}

// pay pays an invoice and waits for the outcome.
func (l *lndNode) pay(ctx context.Context, bolt11 string, more map[string]any) (lndPayment, error) {
	req := map[string]any{
		"timeout_seconds": 60, "fee_limit_msat": "100000", "no_inflight_updates": true, "max_parts": 1,
	}
	if bolt11 != "" {
		req["payment_request"] = bolt11
	}
	for k, v := range more {
		req[k] = v
	}
	rsp, err := l.open(ctx, http.MethodPost, "/v2/router/send", req)
	if err != nil {
		return lndPayment{}, err
	}
	defer rsp.Body.Close()
	var last lndPayment
	for d := json.NewDecoder(rsp.Body); ; {
		var a struct {
			Result *lndPayment `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		switch err := d.Decode(&a); {
		case errors.Is(err, io.EOF) && last.Status != "":
			return last, nil
		case err != nil:
			return last, err
		case a.Error != nil:
			return last, errors.New("lnd: pay: " + a.Error.Message)
		case a.Result != nil:
			last = *a.Result
		}
	}
}

// payments are all that lnd ever made, by hash in hexadecimal.
func (l *lndNode) payments(ctx context.Context) (map[string]lndPayment, error) {
	var a struct {
		Payments []lndPayment `json:"payments"`
	}
	if err := l.get(ctx, "/v1/payments?include_incomplete=true&max_payments=100000", &a); err != nil {
		return nil, err
	}
	all := map[string]lndPayment{}
	for _, p := range a.Payments {
		all[p.Hash] = p
	}
	return all, nil
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}
