package channel

// Re-establishing a channel as one pure function, so that every case of BOLT 2, Message Retransmission, is a row of a table.

// position is how far this node's durable facts have come.
type position struct {
	holder             uint64 // number of the holder's current commitment
	counterparty       uint64 // number of the counterparty's oldest commitment that is not revoked: revocations received
	unrevoked          bool   // commitment_signed for counterparty+1 was sent and not acknowledged
	commitmentAfterRAA bool   // our last commitment_signed came after our last revoke_and_ack
	closingReceived    bool   // closing_signed was received
}

// claim is what the peer's channel_reestablish says.
type claim struct {
	nextCommitment uint64 // next_commitment_number
	nextRevocation uint64 // next_revocation_number
	secretCorrect  bool   // your_last_per_commitment_secret is the one of nextRevocation-1, or zeroes where that is 0
}

// syncResult is the closed set of what can come of it.
type syncResult interface{ syncResult() }

// inSync: the channel goes on after sending again what the peer missed.
type inSync struct {
	ready           bool // channel_ready
	revocation      bool // our last revoke_and_ack
	commitment      bool // our last commitment_signed with its updates
	revocationFirst bool // the order of the two, where both are sent again
}

// peerLate: the peer has forgotten revocations that it received. The channel fails.
type peerLate struct{ nextRevocation, want uint64 }

// provenBehind: the peer knows a secret that we do not remember to have given: our facts are old. Nothing is ever broadcast.
type provenBehind struct{}

// wrongSecret: your_last_per_commitment_secret is not what it must be. The channel fails.
type wrongSecret struct{}

// wrongCommitment: next_commitment_number is none that can be. The channel fails.
type wrongCommitment struct{ nextCommitment, sent uint64 }

func (inSync) syncResult()          {}
func (peerLate) syncResult()        {}
func (provenBehind) syncResult()    {}
func (wrongSecret) syncResult()     {}
func (wrongCommitment) syncResult() {}

// checkSync compares what both sides know (BOLT 2, Message Retransmission). The peer's revocation number comes first: a peer that proves us
// behind is believed whatever else it says.
func checkSync(p position, peer claim) syncResult {
	if !peer.secretCorrect {
		return wrongSecret{}
	}
	var r inSync
	switch {
	case peer.nextRevocation == p.holder:
	case peer.nextRevocation > p.holder:
		return provenBehind{}
	case peer.nextRevocation+1 == p.holder:
		// "... and the receiving node hasn't already received a closing_signed: MUST retransmit revoke_and_ack"
		r.revocation = !p.closingReceived
	default:
		return peerLate{nextRevocation: peer.nextRevocation, want: p.holder}
	}

	sent := p.counterparty // number of the last commitment that we signed
	if p.unrevoked {
		sent++
	}
	switch {
	case peer.nextCommitment == sent+1:
	case peer.nextCommitment == sent && p.unrevoked:
		r.commitment = true
	default:
		return wrongCommitment{nextCommitment: peer.nextCommitment, sent: sent}
	}
	// Ours is holder+1.
	r.ready = peer.nextCommitment == 1 && p.holder == 0
	r.revocationFirst = r.revocation && (!r.commitment || p.commitmentAfterRAA)
	return r
}
