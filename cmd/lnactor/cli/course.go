package cli

import (
	"fmt"
	"strings"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/demo"
)

// closing shows that the channel is being closed.
func (s *screen) closing(n demo.Closing) {
	s.note, s.last = "", demo.Progress{}
	how := map[demo.CloseKind]string{
		demo.CloseCooperative: "Both sides agree to close the channel",
		demo.CloseForce:       "Alice closes the channel alone",
		demo.CloseRevoked:     "Bob closes the channel with a commitment that he revoked",
	}[n.Kind]
	if n.Kind == demo.CloseForce {
		how += ", with " + plural(n.Held, "payment") + " in flight"
	}
	s.line("")
	s.line("  %s", s.st.strong.Render(how+"."))
	s.line("")
}

// did shows what a user did.
func (s *screen) did(n demo.Did) {
	text := n.What
	if n.Sat > 0 {
		text += ": " + group(n.Sat) + " sat"
	}
	s.line("           %s %s", s.st.node.Render(pad(n.Node, 5)), text)
}

// block shows what a block did to the channel.
func (s *screen) block(n demo.BlockMined) {
	if n.Quiet > 0 {
		s.line("           %s", s.st.faint.Render("… "+plural(n.Quiet, "block")+" later"))
	}
	title := fmt.Sprintf("%6d", n.Height)
	for _, t := range n.Txs {
		s.line("%s", s.fit(fmt.Sprintf("  %s ▣ %s %s", s.st.faint.Render(pad(title, 6)), s.txStyle(t), s.st.faint.Render(txDetail(t)))))
		title = ""
	}
	for _, side := range n.Sides {
		s.line("  %s   %s %s", s.st.faint.Render(pad(title, 6)), s.st.node.Render(pad(side.Node, 5)), where(side)) // it may wrap: the end counts
		title = ""
	}
}

func (s *screen) txStyle(t demo.ChainTx) string {
	text := pad(t.Label, 30)
	switch t.Kind {
	case demo.TxRevoked:
		return s.st.bad.Render(text)
	case demo.TxJustice:
		return s.st.again.Render(text)
	case demo.TxCooperative, demo.TxCommitment:
		return s.st.strong.Render(text)
	}
	return s.st.good.Render(text)
}

// txDetail is what a transaction takes and pays.
func txDetail(t demo.ChainTx) string {
	fee := fmt.Sprintf("fee %s", group(t.FeeSat))
	switch t.Kind {
	case demo.TxCooperative:
		return amounts(t.OutputsSat) + ", " + fee
	case demo.TxCommitment, demo.TxRevoked:
		return plural(len(t.OutputsSat), "output") + ", " + fee
	}
	return fmt.Sprintf("takes %s sat, %s", group(t.TakesSat), fee)
}

func amounts(list []uint64) string {
	parts := make([]string, len(list))
	for i, sat := range list {
		parts[i] = group(sat)
	}
	return strings.Join(parts, " + ") + " sat"
}

// where says where a side's money is: the parts add up to the number at the end.
func where(side demo.Stand) string {
	b := side.Balance
	parts := balanceParts(b)
	text := strings.Join(parts, " + ") + " = " + group(b.Total)
	if side.Archived {
		text += ", all resolved and archived"
	}
	return text
}

func balanceParts(b lnactor.ChannelBalance) (parts []string) {
	waits := "waiting"
	if b.SpendableAt != 0 {
		waits = fmt.Sprintf("waiting to %d", b.SpendableAt)
	}
	for _, p := range []struct {
		sat  uint64
		what string
	}{
		{b.Available, "to sweep"},
		{b.InHTLCs, "in payments"},
		{b.Awaiting, waits},
		{b.Contested, "contested"},
		{b.Swept, "in the wallet"},
		{b.Fees, "fees"},
		{b.Lost, "paid or lost"},
	} {
		if p.sat > 0 {
			parts = append(parts, group(p.sat)+" "+p.what)
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	return parts
}

// onChain shows the close in the summary.
func (s *screen) onChain(o *demo.OnChain) {
	row := func(name, text string) { s.line("  %s %s", s.st.node.Render(pad(name, 9)), text) }
	row("close", fmt.Sprintf("%s, at block %d; %s, %s, %s", o.Kind, o.ClosingHeight,
		plural(len(o.Transactions), "transaction"), plural(o.Blocks, "block"), pluralOf(o.Crashes, "crash", "crashes")))
	if held := o.Held.Claimed + o.Held.Returned; held > 0 {
		row("held", fmt.Sprintf("%s: %s claimed, %s came back", plural(held, "payment"), group(o.Held.Claimed), group(o.Held.Returned)))
	}
	for _, name := range []string{"alice", "bob"} {
		c := o.Sides[name]
		row(name, fmt.Sprintf("%s sat on chain + %s of the channel - %s fees = %s",
			group(c.WalletBeforeSat), group(c.SweptSat), group(c.TxFeesSat), group(c.WalletAfterSat)))
	}
	fees := group(o.FeesSat) + " sat in all"
	if o.UnclaimedSat > 0 {
		fees += fmt.Sprintf(", and %s sat in outputs that nobody claims", group(o.UnclaimedSat))
	}
	row("fees", fees)
}
