package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/diagnose"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// Recovery is what Backup, TrustRestored, ExplainHTLC and Diagnose need of a process.
type Recovery interface {
	// Backup writes a backup without the seed: no secret that all keys derive from leaves by the API.
	Backup(ctx context.Context, w io.Writer) error
	TrustRestored(ctx context.Context, id lnactor.ChannelID) error
	ExplainPayment(ctx context.Context, hash lnactor.Hash) (lnactor.Explanation, error)
	ExplainHTLC(ctx context.Context, channel lnactor.ChannelID, htlc uint64) (lnactor.Explanation, error)
	Diagnose(ctx context.Context) []diagnose.Check
}

func (s *service) recovery() (Recovery, error) {
	if s.cfg.Recovery == nil {
		return nil, problem(connect.CodeUnimplemented, "no_recovery", "this process has no data directory", "")
	}
	return s.cfg.Recovery, nil
}

// piece is how much of a backup goes into one message.
const piece = 256 << 10

// Backup streams a backup. The node copies its store first, so a slow client holds up nobody but itself; one that does not read is cut off.
func (s *service) Backup(ctx context.Context, _ *apiv1.BackupRequest, stream *connect.ServerStream[apiv1.BackupResponse]) error {
	r, err := s.recovery()
	if err != nil {
		return err
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return problem(connect.CodeResourceExhausted, "too_many_streams", fmt.Sprintf("%d streams are open, which are the most", mostStreams), "end some")
	}
	w := &pieces{ctx: ctx, stream: stream}
	w.controller, _ = ctx.Value(controllerKey{}).(*http.ResponseController)
	if err := r.Backup(ctx, w); err != nil {
		return failed(err)
	}
	if err := w.flush(); err != nil {
		return err
	}
	return stream.Send(&apiv1.BackupResponse{Done: true})
}

// pieces cuts what is written into messages.
type pieces struct {
	ctx        context.Context
	stream     *connect.ServerStream[apiv1.BackupResponse]
	controller *http.ResponseController
	buf        []byte
}

func (p *pieces) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		k := min(len(b), piece-len(p.buf))
		p.buf, b = append(p.buf, b[:k]...), b[k:]
		if len(p.buf) == piece {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (p *pieces) flush() error {
	if err := p.ctx.Err(); err != nil || len(p.buf) == 0 {
		return err
	}
	if p.controller != nil {
		_ = p.controller.SetWriteDeadline(time.Now().Add(sendTime))
	}
	err := p.stream.Send(&apiv1.BackupResponse{Data: p.buf})
	p.buf = make([]byte, 0, piece)
	return err
}

// TrustRestored takes a channel that was restored from a backup for current, if the caller has named the risk.
func (s *service) TrustRestored(ctx context.Context, r *apiv1.TrustRestoredRequest) (*apiv1.TrustRestoredResponse, error) {
	rec, err := s.recovery()
	if err != nil {
		return nil, err
	}
	id, err := channelID(r.GetChannelId())
	if err != nil {
		return nil, err
	}
	if !r.GetIMayLoseAllMoney() {
		return nil, invalid("the risk was not accepted: if anything happened in the channel after the backup was made, a close by this node forfeits all the money in it",
			"connect to the peer instead, which verifies the channel without a risk; or set i_may_lose_all_money")
	}
	if err := rec.TrustRestored(ctx, id); err != nil {
		return nil, failed(err)
	}
	return &apiv1.TrustRestoredResponse{}, nil
}

// ExplainHTLC says where HTLCs stand.
func (s *service) ExplainHTLC(ctx context.Context, r *apiv1.ExplainHTLCRequest) (*apiv1.ExplainHTLCResponse, error) {
	rec, err := s.recovery()
	if err != nil {
		return nil, err
	}
	var e lnactor.Explanation
	switch {
	case (r.GetPaymentHash() == "") == (r.GetChannelId() == ""):
		return nil, invalid("neither or both of payment_hash and channel_id", "give one of them")
	case r.GetPaymentHash() != "":
		hash, perr := paymentHash(r.GetPaymentHash())
		if perr != nil {
			return nil, perr
		}
		e, err = rec.ExplainPayment(ctx, hash)
	default:
		id, perr := channelID(r.GetChannelId())
		if perr != nil {
			return nil, perr
		}
		e, err = rec.ExplainHTLC(ctx, id, r.GetHtlcId())
	}
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ExplainHTLCResponse{Payment: e.Payment}
	for _, h := range e.HTLCs {
		x := &apiv1.HTLCExplanation{
			ChannelId: h.Channel.String(), HtlcId: h.HTLCID, Outbound: h.Outbound, PaymentHash: h.Hash.String(), AmountMsat: h.AmountMsat,
			CltvExpiry: h.CLTVExpiry, State: h.State, Stands: h.Stands, Awaits: h.Awaits, AwaitsFrom: h.From, Deadline: h.Deadline, Height: h.Height,
		}
		if h.Event != nil {
			x.EventId = h.Event.String()
		}
		out.Htlcs = append(out.Htlcs, x)
	}
	for _, id := range e.Unknown {
		out.Unknown = append(out.Unknown, id.String())
	}
	return out, nil
}

// Diagnose checks what GetHealth does not watch.
func (s *service) Diagnose(ctx context.Context, _ *apiv1.DiagnoseRequest) (*apiv1.DiagnoseResponse, error) {
	r, err := s.recovery()
	if err != nil {
		return nil, err
	}
	out := &apiv1.DiagnoseResponse{}
	for _, c := range r.Diagnose(ctx) {
		out.Checks = append(out.Checks, &apiv1.Diagnosis{Check: c.Name, Result: c.Result.String(), Finding: c.Finding, Remedy: c.Remedy})
	}
	return out, nil
}
