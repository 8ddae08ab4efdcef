package facts

// State is where an HTLC or a fee update stands between the two commitments (BOLT 2, Normal Operation). "Sent" and "Rcvd" are seen from the
// holder; the names follow the last message that moved it. Receiving commitment_signed and answering it with revoke_and_ack is one durable step
// here, so the states between those two never exist.
type State uint8

// Offered by the holder: added, then removed by the counterparty.
const (
	SentAddCommit           State = iota + 1 // in the counterparty's next commitment
	RcvdAddRevocation                        // in the counterparty's commitment
	SentAddAckRevocation                     // in both, irrevocably: committed
	SentRemoveRevocation                     // out of the holder's commitment
	SentRemoveAckCommit                      // out of the counterparty's next commitment
	RcvdRemoveAckRevocation                  // gone
)

// Offered by the counterparty: added, then removed by the holder.
const (
	SentAddRevocation       State = iota + 11 // in the holder's commitment
	SentAddAckCommit                          // in the counterparty's next commitment
	RcvdAddAckRevocation                      // in both, irrevocably: committed
	SentRemoveCommit                          // out of the counterparty's next commitment
	RcvdRemoveRevocation                      // out of the counterparty's commitment, irrevocably: resolved
	SentRemoveAckRevocation                   // gone
)

// Which names a commitment.
type Which uint8

// The commitments that can exist at one time.
const (
	Holder           Which = iota // the holder's current one
	Counterparty                  // the counterparty's oldest one not revoked
	CounterpartyNext              // the counterparty's newest one: signed, perhaps not acknowledged by a revocation yet
)

// presence of an HTLC in a commitment.
type presence uint8

const (
	before presence = iota // not added yet
	in
	after // removed
)

var presences = map[State][3]presence{
	//                       Holder  Counterparty  CounterpartyNext
	SentAddCommit:           {before, before, in},
	RcvdAddRevocation:       {before, in, in},
	SentAddAckRevocation:    {in, in, in},
	SentRemoveRevocation:    {after, in, in},
	SentRemoveAckCommit:     {after, in, after},
	RcvdRemoveAckRevocation: {after, after, after},

	SentAddRevocation:       {in, before, before},
	SentAddAckCommit:        {in, before, in},
	RcvdAddAckRevocation:    {in, in, in},
	SentRemoveCommit:        {in, in, after},
	RcvdRemoveRevocation:    {in, after, after},
	SentRemoveAckRevocation: {after, after, after},
}

// In tells whether an HTLC in this state is in the commitment.
func (s State) In(w Which) bool { return presences[s][w] == in }

// Added tells whether the HTLC was ever added to the commitment, and not whether it is still there.
func (s State) Added(w Which) bool { return presences[s][w] != before }

// The three transitions. A state that is not a key stays.
var (
	onCounterpartyCommitment = map[State]State{
		SentRemoveRevocation: SentRemoveAckCommit,
		SentAddRevocation:    SentAddAckCommit,
	}
	onRevocation = map[State]State{
		SentAddCommit:       RcvdAddRevocation,
		SentRemoveAckCommit: RcvdRemoveAckRevocation,
		SentAddAckCommit:    RcvdAddAckRevocation,
		SentRemoveCommit:    RcvdRemoveRevocation,
	}
	onHolderCommitment = map[State]State{
		RcvdAddRevocation:    SentAddAckRevocation,
		RcvdRemoveRevocation: SentRemoveAckRevocation,
	}
)

// AfterCounterpartyCommitment is the state to which our next commitment_signed takes an HTLC by itself.
func (s State) AfterCounterpartyCommitment() State { return s.after(onCounterpartyCommitment) }

// AfterHolderCommitment is the state to which the counterparty's next commitment_signed takes an HTLC by itself.
func (s State) AfterHolderCommitment() State { return s.after(onHolderCommitment) }

func (s State) after(table map[State]State) State {
	if next, ok := table[s]; ok {
		return next
	}
	return s
}

// String is the state's name.
func (s State) String() string {
	if n, ok := stateNames[s]; ok {
		return n
	}
	return "unknown"
}

var stateNames = map[State]string{
	SentAddCommit: "SentAddCommit", RcvdAddRevocation: "RcvdAddRevocation", SentAddAckRevocation: "SentAddAckRevocation",
	SentRemoveRevocation: "SentRemoveRevocation", SentRemoveAckCommit: "SentRemoveAckCommit", RcvdRemoveAckRevocation: "RcvdRemoveAckRevocation",
	SentAddRevocation: "SentAddRevocation", SentAddAckCommit: "SentAddAckCommit", RcvdAddAckRevocation: "RcvdAddAckRevocation",
	SentRemoveCommit: "SentRemoveCommit", RcvdRemoveRevocation: "RcvdRemoveRevocation", SentRemoveAckRevocation: "SentRemoveAckRevocation",
}
