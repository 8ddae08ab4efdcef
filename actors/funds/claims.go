package funds

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// claimKey names a claim on this node.
type claimKey struct {
	channel ln.ChannelID
	claim   uint64
}

// lock is under what name the wallet holds a claim's coins; a funding transaction's are under the channel's id.
func (k claimKey) lock() wallet.LockID {
	h := sha256.New()
	h.Write([]byte("lnactor/claim"))
	h.Write(k.channel[:])
	_ = binary.Write(h, binary.BigEndian, k.claim) // a hash takes all
	return wallet.LockID(h.Sum(nil))
}

// StarvingClaim is a claim that the wallet has no coins for.
type StarvingClaim struct {
	Channel ln.ChannelID
	Claim   uint64
	Since   uint32 // height of the first refusal
	NeedSat uint64 // the fee, as of the last one
}

// buildClaim answers BuildClaim, at once or when what it takes is known: the fee rates, and, where coins are to be added, those that are there and
// those that claims from before a restart hold already.
func (c *core) buildClaim(m messages.BuildClaim) {
	key := claimKey{m.Channel, m.Claim}
	spec := specOf(&m)
	if !c.feesKnown() || takesCoins(spec) && !c.coinsKnown() {
		c.waiting[key] = m
		return
	}
	delete(c.waiting, key)
	spec.WantRate = chainfee.SatPerKWeight(c.fees.rate(m.Target))
	anew := !c.wallet.HasCoins(m.Coins)
	if anew {
		// A reorganisation took a coin of what is to be replaced, so that is in no mempool and never will be.
		c.wallet.ReleaseClaim(key.lock())
		spec.FeeRate, spec.MinFee = 0, 0
	}
	built, err := c.wallet.BuildClaim(spec)
	c.starves(key, err)
	if short := (*wallet.InsufficientFundsError)(nil); errors.As(err, &short) {
		// A claim that pays too little may confirm, none never does.
		spec.WantRate = 0
		if cheap, poor := c.wallet.BuildClaim(spec); poor == nil {
			built, err = cheap, nil
		}
	}
	reply := messages.ClaimBuilt{Channel: m.Channel, Incarnation: m.Incarnation, Claim: m.Claim, Anew: anew}
	if err != nil {
		reply.Err = claimError(err)
	} else {
		reply.Tx, reply.FeeSat, reply.FeePerKw = built.Tx, uint64(built.Fee), uint32(min(built.FeeRate, 1<<32-1))
	}
	c.tell(m.ReplyTo, reply)
}

// serveWaiting asks again what had to wait.
func (c *core) serveWaiting() {
	keys := make([]claimKey, 0, len(c.waiting))
	for key := range c.waiting {
		keys = append(keys, key)
	}
	sortKeys(keys)
	for _, key := range keys {
		c.buildClaim(c.waiting[key])
	}
}

func (c *core) releaseClaim(m messages.ReleaseClaim) {
	key := claimKey{m.Channel, m.Claim}
	delete(c.waiting, key)
	c.starves(key, nil)
	c.wallet.ReleaseClaim(key.lock())
}

// starves keeps the list of the claims that the wallet is too poor for.
func (c *core) starves(key claimKey, err error) {
	var short *wallet.InsufficientFundsError
	if !errors.As(err, &short) {
		delete(c.starving, key)
		return
	}
	x, known := c.starving[key]
	if !known {
		x = StarvingClaim{Channel: key.channel, Claim: key.claim, Since: c.height}
		c.log.Error("the wallet has too few confirmed coins for the fee of a claim; send it some before the claim's deadline",
			slog.String("channel_id", key.channel.String()), slog.Uint64("claim", key.claim), slog.Int64("fee_sat", int64(short.Need)))
	}
	x.NeedSat = uint64(max(short.Need, 0))
	c.starving[key] = x
}

// spends takes the inputs out of the wallet's hands before the opening's own reservation ends, so that nothing can take them in between (rule 22).
func (c *core) spends(m messages.WalletSpends) {
	if m.Tx == nil {
		return
	}
	log := c.log.With(slog.String("channel_id", m.Channel.String()), slog.String("txid", m.Tx.TxHash().String()))
	if !m.Held {
		if err := c.wallet.AddUnconfirmed(m.Tx); err != nil {
			log.Warn("wallet refuses a transaction", slog.Any("error", err))
		}
	}
	if m.Release != (ln.ChannelID{}) {
		c.wallet.Release(wallet.LockID(m.Release))
	}
	var err error
	if m.Claim != 0 {
		err = c.wallet.ReserveClaim(claimKey{m.Channel, m.Claim}.lock(), m.Tx)
	} else {
		err = c.wallet.Reserve(wallet.LockID(m.Channel), m.Tx)
	}
	if err != nil {
		log.Error("coins of a transaction that may confirm are reserved for something else", slog.Uint64("claim", m.Claim), slog.Any("error", err))
	}
}

// specOf translates the question; what is out of range is left for the wallet to refuse.
func specOf(m *messages.BuildClaim) *wallet.ClaimSpec {
	spec := &wallet.ClaimSpec{
		Lock: claimKey{m.Channel, m.Claim}.lock(), LockTime: m.LockTime, FeeRate: chainfee.SatPerKWeight(m.MinFeePerKw),
		MinFee: amount(m.MinFeeSat), MaxFee: amount(m.MaxFeeSat),
	}
	for i := range m.Inputs {
		in := &m.Inputs[i]
		spec.Inputs = append(spec.Inputs, wallet.ClaimInput{
			OutPoint: in.OutPoint, Value: amount(in.ValueSat), PkScript: in.PkScript, Sequence: in.Sequence,
			WitnessWeight: int64(in.WitnessWeight), Output: in.Output, Attach: in.Attach,
		})
	}
	if p := m.Parent; p != nil {
		spec.Parent = &wallet.ClaimParent{Weight: int64(p.Weight), Fee: amount(p.FeeSat)}
	}
	return spec
}

// amount keeps what no transaction can have above what any can.
func amount(sat uint64) btcutil.Amount { return btcutil.Amount(min(sat, btcutil.MaxSatoshi+1)) }

func takesCoins(spec *wallet.ClaimSpec) bool {
	return slices.ContainsFunc(spec.Inputs, func(in wallet.ClaimInput) bool { return in.Output != nil || in.Attach })
}

func claimError(err error) *messages.ClaimError {
	var short *wallet.InsufficientFundsError
	code := messages.ClaimInvalid
	switch {
	case errors.As(err, &short):
		code = messages.ClaimNoCoins
	case errors.Is(err, wallet.ErrClaimTooExpensive):
		code = messages.ClaimTooExpensive
	case errors.Is(err, wallet.ErrClaimUnneeded):
		code = messages.ClaimUnneeded
	}
	return &messages.ClaimError{Code: code, Err: err}
}

func sortKeys(keys []claimKey) {
	slices.SortFunc(keys, func(a, b claimKey) int {
		if d := slices.Compare(a.channel[:], b.channel[:]); d != 0 {
			return d
		}
		switch {
		case a.claim < b.claim:
			return -1
		case a.claim > b.claim:
			return 1
		}
		return 0
	})
}
