package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// newInspect looks at a data directory without a node.
func newInspect() *cobra.Command {
	var f clientFlags
	var channel string
	cmd := &cobra.Command{
		Use: "inspect", Short: "Examine a data directory without a node", Args: noArgs,
		Long: `Examines a data directory while no node runs with it, and changes nothing: it works on a
copy that can't be written. Every page, record and row is read and its checksum verified;
every log is folded as the node would at its start. It shows each channel with its live
HTLCs and the events that are not acknowledged, and each finding with what to do about it.

The exit code is 0 if all is well, 65 if something is damaged, 1 for lesser findings, and
75 while a node runs with the directory.`,
		Example: "  lnactor inspect --datadir ~/.lnactor\n  lnactor inspect --datadir /mnt/copy --channel 5f3a...\n  lnactor inspect --json | jq '.findings[]'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			var only *lnactor.ChannelID
			if channel != "" {
				id, err := lnactor.ParseChannelID(channel)
				if err != nil {
					return &usageError{err, "'lnactor inspect' without --channel lists them"}
				}
				only = &id
			}
			in, err := lnactor.Inspect(c.Dir, only)
			if err != nil {
				return explainInspect(err)
			}
			events, err := inspectEvents(cmd.Context(), &in)
			if err != nil {
				return err
			}
			if f.json {
				err = inspectJSON(cmd, &in, events)
			} else {
				p := newPage(cmd.OutOrStdout())
				showInspection(p, &in, events)
				err = p.flush()
			}
			if err != nil {
				return err
			}
			if only != nil && len(in.Channels) == 0 && len(in.Findings) == 0 {
				return &apiError{text: "there is no such channel in the store", hint: "'lnactor inspect' without --channel lists them"}
			}
			return verdict(in.Findings)
		},
	}
	offlineFlags(cmd, &f)
	cmd.Flags().StringVar(&channel, "channel", "", "show only this channel; all is examined anyway")
	return cmd
}

func explainInspect(err error) error {
	switch {
	case errors.Is(err, lnactor.ErrInUse):
		return fmt.Errorf("%w: a node runs with this directory; ask it: lnactor doctor", err)
	case errors.Is(err, fs.ErrNotExist):
		return &apiError{text: err.Error(), hint: "say with --datadir where the node's data is"}
	}
	return err
}

// verdict ends with an error if there is a finding.
func verdict(findings []lnactor.Finding) error {
	for _, x := range findings {
		if x.Critical {
			return fmt.Errorf("%w: %d findings; see above", lnactor.ErrCorrupt, len(findings))
		}
	}
	if len(findings) > 0 {
		return errFindings
	}
	return nil
}

func severity(critical bool) string {
	if critical {
		return "critical"
	}
	return "warning"
}

func showInspection(p *page, in *lnactor.Inspection, events *feed.Inspection) {
	p.row("data directory", in.Dir)
	p.row("node", or(in.NodeID, "none yet"))
	p.row("network", or(in.Network, "-"))
	p.row("store", fmt.Sprintf("%s bytes, %s commits", digits(uint64(in.Bytes)), digits(in.Commits))) //nolint:gosec // not negative
	p.row("payments", fmt.Sprintf("%d under way or not handled", in.Payments))
	p.row("channels", fmt.Sprintf("%d shown, %d archived", len(in.Channels), in.Archived))
	if events != nil {
		p.row("events", fmt.Sprintf("%s in the feed, %d consumers, %d dead letters", digits(events.Journal.Events), events.Consumers, events.DeadLetters))
	}
	for _, name := range slices.Sorted(maps.Keys(in.Rows)) {
		p.row("rows", fmt.Sprintf("%s: %d", name, in.Rows[name]))
	}
	for i := range in.Channels {
		showInspected(p, &in.Channels[i])
	}
	if len(in.Findings) == 0 {
		p.row("findings", "none: every record and row is whole")
	}
	for _, x := range in.Findings {
		p.row(severity(x.Critical), x.Code, x.Where)
		p.row("", "", x.What)
		p.row("", "", "remedy: "+x.Remedy)
	}
}

func showInspected(p *page, c *lnactor.InspectedChannel) {
	s := &c.Summary
	p.row("channel", s.Channel)
	p.row("", fmt.Sprintf("%s, with %s, at block %d", s.Phase, s.Peer, s.Height))
	p.row("", fmt.Sprintf("%s: ours %d msat, theirs %d msat, out %d msat, in %d msat", sat(s.CapacitySat), s.HolderMsat, s.CounterpartyMsat, s.OutboundMsat, s.InboundMsat))
	p.row("", fmt.Sprintf("log: snapshot: %s, %d records after it", yes(c.Snapshot), c.Records))
	for _, h := range c.HTLCs {
		way := "in"
		if h.Outbound {
			way = "out"
		}
		line := fmt.Sprintf("HTLC %s/%d: %d msat, hash %s, expires at %d", way, h.HTLCID, h.AmountMsat, h.Hash, h.CLTVExpiry)
		if h.Deadline != 0 {
			line += fmt.Sprintf(", deadline %d", h.Deadline)
		}
		p.row("", line)
		p.row("", fmt.Sprintf("  %s; awaits %s from %s", h.Stands, or(h.Awaits, "nothing"), or(h.From, "nobody")))
	}
	for i, id := range c.Events {
		p.row("", fmt.Sprintf("event %d, %s, is not acknowledged", id.Seq, c.Kinds[i]))
	}
}

func inspectJSON(cmd *cobra.Command, in *lnactor.Inspection, events *feed.Inspection) error {
	type htlc struct {
		ID         uint64 `json:"htlc_id"`
		Outbound   bool   `json:"outbound"`
		Hash       string `json:"payment_hash"`
		AmountMsat uint64 `json:"amount_msat"`
		CLTVExpiry uint32 `json:"cltv_expiry"`
		State      string `json:"state"`
		Stands     string `json:"stands"`
		Awaits     string `json:"awaits"`
		From       string `json:"awaits_from"`
		Deadline   uint32 `json:"deadline"`
	}
	type event struct {
		Seq  uint64 `json:"seq"`
		Kind string `json:"kind"`
	}
	type channel struct {
		ID               string  `json:"channel_id"`
		Peer             string  `json:"peer"`
		Phase            string  `json:"phase"`
		Unverified       bool    `json:"unverified"`
		Behind           bool    `json:"behind"`
		CapacitySat      uint64  `json:"capacity_sat"`
		HolderMsat       uint64  `json:"holder_msat"`
		CounterpartyMsat uint64  `json:"counterparty_msat"`
		Height           uint32  `json:"height"`
		Snapshot         bool    `json:"snapshot"`
		Records          int     `json:"records"`
		HTLCs            []htlc  `json:"htlcs"`
		Events           []event `json:"unacked_events"`
	}
	type finding struct {
		Severity string `json:"severity"`
		Code     string `json:"code"`
		Where    string `json:"where"`
		What     string `json:"what"`
		Remedy   string `json:"remedy"`
	}
	out := struct {
		Dir      string         `json:"dir"`
		NodeID   string         `json:"node_id"`
		Network  string         `json:"network"`
		Commits  uint64         `json:"commits"`
		Bytes    int64          `json:"bytes"`
		Archived int            `json:"archived"`
		Payments int            `json:"payments"`
		Rows     map[string]int `json:"rows"`
		Events   *feedReport    `json:"events"` // null: there is no feed
		Channels []channel      `json:"channels"`
		Findings []finding      `json:"findings"`
	}{in.Dir, in.NodeID, in.Network, in.Commits, in.Bytes, in.Archived, in.Payments, in.Rows, nil, []channel{}, []finding{}}
	if events != nil {
		out.Events = &feedReport{events.Journal.Events, events.Journal.Bytes, events.Consumers, events.DeadLetters}
	}
	for i := range in.Channels {
		c := &in.Channels[i]
		s := &c.Summary
		x := channel{
			ID: s.Channel.String(), Peer: s.Peer.String(), Phase: s.Phase.String(), Unverified: s.Unverified, Behind: s.Behind, CapacitySat: s.CapacitySat,
			HolderMsat: s.HolderMsat, CounterpartyMsat: s.CounterpartyMsat, Height: s.Height, Snapshot: c.Snapshot, Records: c.Records,
		}
		for _, h := range c.HTLCs {
			x.HTLCs = append(x.HTLCs, htlc{h.HTLCID, h.Outbound, h.Hash.String(), h.AmountMsat, h.CLTVExpiry, h.State, h.Stands, h.Awaits, h.From, h.Deadline})
		}
		for j, id := range c.Events {
			x.Events = append(x.Events, event{id.Seq, c.Kinds[j]})
		}
		out.Channels = append(out.Channels, x)
	}
	for _, x := range in.Findings {
		out.Findings = append(out.Findings, finding{severity(x.Critical), x.Code, x.Where, x.What, x.Remedy})
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
