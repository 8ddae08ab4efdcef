package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// errFindings ends a command that has found something and shown it.
var errFindings = errors.New("something needs attention; see above")

// newDoctor shows the conditions of health and the checks, each with what to do.
func newDoctor() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "doctor", Short: "Examine the running node and say what to do", Args: noArgs,
		Long: `Examines the running node: all that 'lnactor status' watches, and the rights of its files,
its clock, the peers of its channels, HTLCs near their deadlines, and channels that were
restored and not verified. Each finding comes with what to do about it.

The exit code is 1 if there is a finding. 'lnactor inspect' examines a data directory
without a node.`,
		Example: "  lnactor doctor\n  lnactor doctor --json | jq '.checks[] | select(.result != \"good\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := f.dial(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
			defer cancel()
			health, err := n.GetHealth(ctx, &apiv1.GetHealthRequest{})
			if err != nil {
				return n.explain(err)
			}
			checks, err := n.Diagnose(ctx, &apiv1.DiagnoseRequest{})
			if err != nil {
				return n.explain(err)
			}
			if f.json {
				err = doctorJSON(cmd, health, checks)
			} else {
				p := newPage(cmd.OutOrStdout())
				showDoctor(p, health, checks)
				err = p.flush()
			}
			if err == nil && !healthy(health, checks) {
				err = errFindings
			}
			return err
		},
	}
	f.register(cmd)
	return cmd
}

func healthy(h *apiv1.GetHealthResponse, d *apiv1.DiagnoseResponse) bool {
	for _, c := range d.GetChecks() {
		if c.GetResult() == "warning" || c.GetResult() == "critical" {
			return false
		}
	}
	return len(h.GetConditions()) == 0
}

func showDoctor(p *page, h *apiv1.GetHealthResponse, d *apiv1.DiagnoseResponse) {
	if len(h.GetConditions()) == 0 {
		p.row("good", "status", "no condition")
	}
	for _, c := range h.GetConditions() {
		p.row(c.GetSeverity(), c.GetId(), strings.TrimSpace(c.GetSubject()+" "+c.GetCause()))
		p.row("", "", "remedy: "+c.GetRemedy())
	}
	for _, c := range d.GetChecks() {
		p.row(c.GetResult(), c.GetCheck(), c.GetFinding())
		if c.GetRemedy() != "" {
			p.row("", "", "remedy: "+c.GetRemedy())
		}
	}
}

// doctorJSON joins both answers in one object.
func doctorJSON(cmd *cobra.Command, h *apiv1.GetHealthResponse, d *apiv1.DiagnoseResponse) error {
	opts := protojson.MarshalOptions{EmitUnpopulated: true}
	health, err := opts.Marshal(h)
	if err != nil {
		return err
	}
	checks, err := opts.Marshal(d)
	if err != nil {
		return err
	}
	var list struct {
		Checks json.RawMessage `json:"checks"`
	}
	if err := json.Unmarshal(checks, &list); err != nil {
		return err
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Good   bool            `json:"good"`
		Health json.RawMessage `json:"health"`
		Checks json.RawMessage `json:"checks"`
	}{healthy(h, d), health, list.Checks})
}

// newHTLCs holds what is about single HTLCs.
func newHTLCs() *cobra.Command {
	cmd := &cobra.Command{
		Use: "htlcs", Short: "Explain single HTLCs", Args: noArgs, Example: "  lnactor htlcs explain 9f0c...",
		Long: "Commands about single HTLCs.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCall(call[*apiv1.ExplainHTLCResponse]{
		use: "explain ID", short: "Say where an HTLC stands, what it waits for, and its deadline", args: wants("ID"),
		long: `Says where an HTLC stands: which message, record or acknowledgement is awaited, from
whom, and the height at which the channel is closed over it. ID is a payment hash, or
CHANNEL_ID/HTLC, the HTLC's number in that channel; each side counts its own.

What is over is not shown: see 'lnactor payments' and the events.`,
		example: "  lnactor htlcs explain 9f0c...\n  lnactor htlcs explain 5f3a.../7",
		make: func(ctx context.Context, n *node, args []string) (*apiv1.ExplainHTLCResponse, error) {
			channel, id, is := strings.Cut(args[0], "/")
			if !is {
				return n.ExplainHTLC(ctx, &apiv1.ExplainHTLCRequest{PaymentHash: args[0]})
			}
			number, err := strconv.ParseUint(id, 10, 64)
			if err != nil {
				return nil, &usageError{fmt.Errorf("%q is not the number of an HTLC", id), "give a payment hash, or CHANNEL_ID/NUMBER"}
			}
			return n.ExplainHTLC(ctx, &apiv1.ExplainHTLCRequest{ChannelId: channel, HtlcId: number})
		},
		show: showExplained,
	}))
	return cmd
}

func showExplained(p *page, a *apiv1.ExplainHTLCResponse) {
	for _, h := range a.GetHtlcs() {
		way := "inbound, offered by the peer"
		if h.GetOutbound() {
			way = "outbound, offered by us"
		}
		p.row("HTLC", fmt.Sprintf("%d of channel %s", h.GetHtlcId(), h.GetChannelId()))
		p.row("", way)
		p.row("", fmt.Sprintf("%d msat, hash %s", h.GetAmountMsat(), h.GetPaymentHash()))
		p.row("", "stands: "+h.GetStands())
		if h.GetState() != "" {
			p.row("", "state: "+h.GetState())
		}
		if h.GetAwaits() != "" {
			p.row("", fmt.Sprintf("awaits: %s, from %s", h.GetAwaits(), h.GetAwaitsFrom()))
		}
		if h.GetEventId() != "" {
			p.row("", "event not acknowledged: "+h.GetEventId())
		}
		if h.GetCltvExpiry() != 0 {
			p.row("", fmt.Sprintf("expires at block %d; the chain is at %d", h.GetCltvExpiry(), h.GetHeight()))
		}
		if h.GetDeadline() != 0 {
			p.row("", fmt.Sprintf("deadline: at block %d the channel is closed over it", h.GetDeadline()))
		}
	}
	for _, line := range a.GetPayment() {
		p.row("payment", line)
	}
	for _, id := range a.GetUnknown() {
		p.row("unknown", fmt.Sprintf("channel %s is quarantined or does not answer", id))
	}
}
