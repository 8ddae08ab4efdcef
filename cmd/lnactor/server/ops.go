package server

import (
	"context"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"

	"connectrpc.com/connect"
)

// Ops is what GetHealth and ListActors need beside Node.
type Ops struct {
	Health   *health.Registry
	Actors   func(ctx context.Context) ([]lnactor.ActorInfo, error)
	Recent   func(actor string) []string // types of the last messages
	CrashDir string                      // empty: no reports are written
	Report   func() string               // the newest

	Ack func(id lnactor.ChannelID) (int, error) // alarms of a channel; nil: nobody keeps them
}

// Lists of actors.
const (
	mostActors     = 1000 // unless asked for more
	mostWithRecent = 100
)

func (s *service) ops() (*Ops, error) {
	if s.cfg.Ops == nil {
		return nil, problem(connect.CodeUnimplemented, "no_ops", "this process does not watch its health", "")
	}
	return s.cfg.Ops, nil
}

// GetHealth says what an operator should look at.
func (s *service) GetHealth(ctx context.Context, _ *apiv1.GetHealthRequest) (*apiv1.GetHealthResponse, error) {
	ops, err := s.ops()
	if err != nil {
		return nil, err
	}
	conditions := ops.Health.Conditions(ctx)
	out := &apiv1.GetHealthResponse{
		Ok: len(conditions) == 0, Alive: health.Alive(conditions), Ready: health.Ready(conditions), CrashDir: ops.CrashDir, CrashReport: ops.Report(),
	}
	for _, c := range conditions {
		out.Conditions = append(out.Conditions, &apiv1.HealthCondition{
			Id: c.ID, Severity: c.Severity.String(), Subject: c.Subject, Cause: c.Cause, Remedy: c.Remedy, Since: timestamppb.New(c.Since),
		})
	}
	snap := ops.Health.Snapshot(ctx)
	if snap == nil {
		return out, nil
	}
	for _, id := range snap.Quarantined {
		out.Quarantined = append(out.Quarantined, id.String())
	}
	out.ChainHeight, out.WalletHeight, out.ChannelsLag, out.Synced = snap.Tip.Height, snap.Funds.Height, snap.Lag, snap.Funds.Synced
	out.FeeState, out.FeeOrigin, out.FeePerKw = snap.Fees.State.String(), snap.Fees.Origin.String(), snap.Funds.FeePerKw
	out.ReserveWantedSat, out.ReserveHaveSat, out.Sweeps = snap.Funds.ReserveWantedSat, snap.Funds.ReserveHaveSat, count(len(snap.Funds.Sweeps))
	out.UnackedEvents, out.OldestUnackedSeconds = count(snap.UnackedEvents), seconds(snap.OldestUnacked)
	return out, nil
}

// AckAlarm takes note that a person knows.
func (s *service) AckAlarm(_ context.Context, r *apiv1.AckAlarmRequest) (*apiv1.AckAlarmResponse, error) {
	ops, err := s.ops()
	if err != nil {
		return nil, err
	}
	id, err := channelID(r.GetChannelId())
	if err != nil {
		return nil, err
	}
	if ops.Ack == nil {
		return nil, problem(connect.CodeUnimplemented, "no_ops", "this process keeps no alarms", "")
	}
	switch n, err := ops.Ack(id); {
	case err != nil:
		return nil, problem(connect.CodeInternal, "not_written", err.Error(), "make room on the disk of the data directory, then say it again")
	case n == 0:
		return nil, problem(connect.CodeNotFound, "no_alarm", "there is no alarm of this channel", "'lnactor status' shows the channels that have the condition money_at_risk")
	default:
		return &apiv1.AckAlarmResponse{Alarms: count(n)}, nil
	}
}

func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), math.MaxUint32)) //nolint:gosec // bounded
}

// ListActors shows the tree.
func (s *service) ListActors(ctx context.Context, r *apiv1.ListActorsRequest) (*apiv1.ListActorsResponse, error) {
	ops, err := s.ops()
	if err != nil {
		return nil, err
	}
	list, err := ops.Actors(ctx)
	if err != nil {
		return nil, failed(err)
	}
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = mostActors
	}
	out := &apiv1.ListActorsResponse{}
	for i := range list {
		a := &list[i]
		troubled := a.Fault != "" || a.Restarts > 0 || a.State != "running"
		switch {
		case r.GetKind() != "" && lnactor.ActorKind(a.Name) != r.GetKind(), r.GetOnlyTroubled() && !troubled:
		case len(out.Actors) >= limit:
			out.LeftOut++
		default:
			out.Actors = append(out.Actors, actorOf(a))
		}
	}
	if len(out.Actors) <= mostWithRecent {
		for _, a := range out.Actors {
			a.Recent = ops.Recent(a.Name)
		}
	}
	return out, nil
}

func actorOf(a *lnactor.ActorInfo) *apiv1.Actor {
	out := &apiv1.Actor{
		Name: a.Name, Parent: a.Parent, State: a.State, Incarnation: a.Incarnation, Instances: a.Instances, Restarts: count(a.Restarts),
		Mailbox: count(a.Queued), Busy: a.Busy, Dropped: a.Dropped, LastFault: a.Fault,
	}
	if !a.FaultAt.IsZero() {
		out.FaultedAt = timestamppb.New(a.FaultAt)
	}
	return out
}
