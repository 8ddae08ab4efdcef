package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

var (
	errNoAmount = errors.New("the amount is 0")
	errExpiry   = errors.New("--expiry is not between a second and ten years")
)

const payLong = `Pays an invoice, or with --keysend a node that made none, and waits for the outcome. The exit code is 0 if it is paid and 1 if it
failed for good or was refused; then the money is still here. It is 76 if the payment may be
under way: the error names its id, and what to do before you pay in another way.

--id makes it safe to repeat: of all calls with one id, ever, at most one pays. Take the
number of the order, say. A repeated call waits for the payment that is there.

Parts that fail are tried again over other routes, until --try-for is over. The fee is
within 1 % of the amount and 50 satoshis, unless --max-fee says otherwise.

An interrupt ends the waiting, not the payment: 'lnactor payment ID' shows where it
stands. Nor does a node that restarts meanwhile.`

// lookAgain is the time between two looks at a payment, patience how long a node may be away while one waits.
const (
	lookAgain = 100 * time.Millisecond
	patience  = time.Minute
)

// paymentFailed is a payment that can never be claimed any more.
type paymentFailed struct{ id, reason string }

func (e *paymentFailed) Error() string { return fmt.Sprintf("payment %s failed: %s", e.id, e.reason) }

// stillUnderWay is the end of the waiting.
type stillUnderWay struct{ id string }

func (e *stillUnderWay) Error() string {
	return fmt.Sprintf("no longer waiting; payment %s may go on", e.id)
}
func (e *stillUnderWay) Unwrap() error { return errStopped }

// mayBeOut is the end of a payment's call, or of the waiting, without an outcome. It names the id: with it the same command waits for the payment that
// is there, without it a repeated --keysend would pay twice.
func mayBeOut(id, why string, err error) error {
	return &unsureError{
		payment: id, text: fmt.Sprintf("payment %s may be under way: %s", id, why), err: err,
		hint: fmt.Sprintf("see 'lnactor payment %[1]s', or repeat the command with --id %[1]s, which never pays twice; before that do not pay in another way", id),
	}
}

// started is what an error of the call that begins a payment says of it.
func (n *node) started(id string, err error) error {
	var e *apiError
	switch err = n.explain(err); {
	case errors.Is(err, errStopped):
		return &stillUnderWay{id}
	case !errors.As(err, &e):
	case e.code == connect.CodeAlreadyExists:
		return &unsureError{
			payment: id, text: e.text, err: err,
			hint: fmt.Sprintf("an id stands for one payment for ever: see what became of it with 'lnactor payment %s' before you choose another one", id),
		}
	case e.code == connect.CodeNotFound, e.reason == "starting": // a payment of this id may be there from a call before
	case e.refused():
		return err
	}
	return mayBeOut(id, err.Error(), err)
}

func newPay() *cobra.Command {
	var f clientFlags
	var id, amount string
	var noWait bool
	var limits payLimits
	var payee string
	cmd := &cobra.Command{
		Use: "pay INVOICE | --keysend NODE", Short: "Pay an invoice", Long: payLong, Args: payArgs(&payee),
		Example: "  lnactor pay lnbcrt210u1... --id order-17\n  lnactor pay lnbcrt1... --amount 5000 --max-fee 10 --no-wait\n" +
			"  lnactor pay --keysend 02ab... --amount 1000",
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := f.dial(cmd)
			if err != nil {
				return err
			}
			r := &apiv1.PayRequest{Id: id, KeysendPayee: payee}
			if payee == "" {
				r.Bolt11 = args[0]
			} else if amount == "" {
				return &usageError{errNoAmount, "say how much with --amount"}
			}
			if r.Limits, err = limits.read(cmd); err != nil {
				return err
			}
			if amount != "" {
				if r.AmountMsat, err = parseMsat(amount); err != nil {
					return err
				}
				if r.AmountMsat == 0 {
					return &usageError{errNoAmount, "give what you want to pay"}
				}
			}
			if cmd.Flags().Changed("id") && id == "" {
				return &usageError{errors.New("--id is empty"), "give the number of the order, or leave --id out"}
			}
			if r.Id == "" { // it is made here, so that it is known whatever happens to the call
				var random [32]byte
				if _, err := rand.Read(random[:]); err != nil {
					return err
				}
				r.Id = hex.EncodeToString(random[:])
			}
			p, err := n.pay(r, !noWait, cmd.ErrOrStderr())
			var shown error
			if p != nil && f.json {
				shown = printJSON(cmd.OutOrStdout(), p)
			} else if p != nil {
				page := newPage(cmd.OutOrStdout())
				showPayment(page, p)
				shown = page.flush()
			}
			if shown != nil && err == nil {
				err = mayBeOut(p.GetId(), "its outcome could not be shown: "+shown.Error(), shown)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the payment's id: 64 hexadecimal digits, or any other text (default: a new one)")
	cmd.Flags().StringVar(&amount, "amount", "", "amount, for an invoice that leaves it to you and for --keysend")
	cmd.Flags().StringVar(&payee, "keysend", "", "pay this node, which made no invoice and takes such payments")
	limits.register(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return when the payment is durable and under way")
	f.register(cmd)
	return cmd
}

// payArgs wants an invoice, unless there is a payee.
func payArgs(payee *string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if *payee == "" {
			return wants("INVOICE")(cmd, args)
		}
		return noArgs(cmd, args)
	}
}

// payLimits are the flags that bound a payment.
type payLimits struct {
	fee   string
	parts uint16
	try   time.Duration
}

func (l *payLimits) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.fee, "max-fee", "", "most that the way may cost, an amount or a percentage such as 0.5% (default: 1% and 50 sat)")
	cmd.Flags().Uint16Var(&l.parts, "max-parts", 0, "into how many parts it may be split at a time (default 16)")
	cmd.Flags().DurationVar(&l.try, "try-for", 0, "how long routes are tried (default 1m)")
}

func (l *payLimits) read(cmd *cobra.Command) (*apiv1.PayLimits, error) {
	if l.try < 0 || l.try > 24*time.Hour || cmd.Flags().Changed("try-for") && l.try < time.Second {
		return nil, &usageError{errors.New("--try-for is not between a second and a day"), "such as 90s"}
	}
	out := &apiv1.PayLimits{MaxParts: uint32(l.parts), TrySeconds: uint32(l.try / time.Second)} //nolint:gosec // bounded above
	percent, isPercent := strings.CutSuffix(l.fee, "%")
	switch {
	case isPercent:
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return nil, &usageError{errors.New("--max-fee is no percentage"), "such as 0.5%"}
		}
		out.MaxFeePercent = &p
	case l.fee != "":
		msat, err := parseMsat(l.fee)
		if err != nil {
			return nil, err
		}
		out.MaxFeeMsat = &msat
	}
	return out, nil
}

// pay starts the payment and follows it. With a payment and an error the payment is what is known.
func (n *node) pay(r *apiv1.PayRequest, wait bool, progress io.Writer) (*apiv1.Payment, error) {
	ctx := n.cmd.Context()
	begin, cancel := context.WithTimeout(ctx, n.flags.timeout)
	started, err := n.Pay(begin, r)
	cancel()
	if err != nil {
		return nil, n.started(r.GetId(), err)
	}
	p := started.GetPayment()
	var away time.Time
	w := waiter{w: progress, began: time.Now()}
	defer w.end()
	for wait && p.GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_PENDING {
		w.show("payment " + short16(p.GetId()) + " is under way")
		select {
		case <-ctx.Done():
			return p, &stillUnderWay{r.GetId()}
		case <-time.After(lookAgain):
		}
		look, cancel := context.WithTimeout(ctx, 10*time.Second)
		now, err := n.GetPayment(look, &apiv1.GetPaymentRequest{Id: p.GetId()})
		cancel()
		switch {
		case err == nil:
			p, away = now.GetPayment(), time.Time{}
		case ctx.Err() != nil:
			return p, &stillUnderWay{r.GetId()}
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > patience || connect.CodeOf(err) == connect.CodePermissionDenied:
			err = n.explain(err)
			return p, mayBeOut(p.GetId(), err.Error(), err)
		}
	}
	switch p.GetStatus() {
	case apiv1.PaymentStatus_PAYMENT_STATUS_FAILED:
		return p, &paymentFailed{p.GetId(), p.GetReason()}
	case apiv1.PaymentStatus_PAYMENT_STATUS_UNKNOWN:
		return p, mayBeOut(p.GetId(), "a channel that may hold it is quarantined; see 'lnactor doctor'", nil)
	}
	return p, nil
}

func short16(id string) string { return id[:min(16, len(id))] }

// waiter shows on a terminal that something is waited for, and for how long.
type waiter struct {
	w     io.Writer
	began time.Time
	live  bool
}

func (w *waiter) show(what string) {
	if width(w.w) > 0 {
		fmt.Fprintf(w.w, "\r\x1b[2K%s, %d s (an interrupt ends the waiting only)", what, int(time.Since(w.began).Seconds()))
		w.live = true
	}
}

func (w *waiter) end() {
	if w.live {
		fmt.Fprint(w.w, "\r\x1b[2K")
	}
}
