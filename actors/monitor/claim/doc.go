// Package claim resolves a channel on chain (BOLT 5): from the durable facts of a channel it derives which outputs there are, whose they are, what
// their spends mean for HTLCs, and which transactions of ours are to be made. It is pure. Its caller, the monitor, makes what it answers durable,
// tells the wallet and the chain, and asks again after every update.
//
// # What it is asked, and when
//
//  1. Resolve after every change of the facts; of an open channel that costs nothing. If NeedsRevoked, the row of that revoked commitment is read
//     and recorded as facts.RevokedRead; a missing row is recorded as one without HTLCs.
//  2. Watches are registered with the chain.
//  3. For each confirmed transaction of a block, in the block's order: Match, apply, Resolve. For each block that leaves the chain: Disconnected.
//  4. After the block: Due, apply, and again while Due has something to say (a preimage that is understood late makes more due).
//  5. Plan: what it wants built goes to the wallet, whose answer is given to Sign; the facts.ClaimSigned is durable before the broadcast (rule 22).
//     What is in Keep is broadcast until it confirms, what has Ended is recorded as such and its coins are released.
//  6. WakeAt is the next height that has to be looked at although no watched output is spent.
//
// Heights are those of the facts: "now" is Channel.Height, and a claim is planned when it can be in the next block. All amounts are satoshis, all
// weights weight units.
//
// # What is watched and claimed
//
//	commitment         output                        by whom
//	ours               to_local                      handed to the wallet after to_self_delay and 6 confirmations (OutputsSpendable)
//	                   HTLC offered to us            claimed by HTLC-success as soon as the preimage is known
//	                   HTLC offered by us            claimed by HTLC-timeout as soon as it expired
//	                   output of these two           handed to the wallet, as to_local
//	counterparty's     to_remote                     handed to the wallet after 6 confirmations
//	                   HTLC offered to us            claimed directly with the preimage
//	                   HTLC offered by us            claimed directly as soon as it expired
//	revoked            to_remote                     handed to the wallet after 6 confirmations
//	                   to_local, all HTLCs           claimed with the revocation secret at once
//	                   their second stages           likewise
//	not known to us    to_remote                     handed to the wallet; all else is watched for preimages
//	                   to_local, if it is ours       handed to the wallet, as that of ours
//	all                our anchor                    handed to the wallet with the first other output; alone it is given up. On our commitment,
//	                                                 while that is not confirmed, it carries the fee (CPFP)
//
// Outputs that are equal in amount, hash and expiry are mapped to HTLCs one to one in a fixed order; nobody can tell them apart. An HTLC transaction
// pays no fee, so it has a second stage's value, and its output stands at the index of its input, whatever the transaction around it is.
//
// # Who made a spend
//
// It follows from the shape of the witness alone (match.go). A claim that was replaced may confirm in place of the newest, so txids say nothing.
//
// # When an HTLC has ended
//
// Outbound (rule 12): Claimed, as PreimageLearned, at the first confirmation of a spend with the right preimage, whatever was decided before. Ended,
// at 6 confirmations of the spend of its output; of the commitment, if that lacks the HTLC or has it as dust, or if the preimage is known. On a
// commitment that is newer than our facts nobody can say what it lacks: there the HTLC has to be 6 blocks past its expiry as well, and its failure says so (Overtaken). An output so small that taking it back
// never pays (some hundred satoshis) is given up 100 blocks after its expiry: from then on the HTLC counts as failed, although a counterparty that
// pays more in fees than it gets could still claim it.
//
// Inbound: at 6 confirmations of the spend of its output, and where the counterparty took it by a second stage on a revoked commitment, of that
// one's spend; of the commitment, if it has no output. One that nobody takes never ends; 100 blocks past its expiry it is not waited for, and one whose preimage we know, but which is not worth its fee, has failed. It was fulfilled
// when its money is ours and its preimage known: a revoked commitment that is punished pays us HTLCs whatever their fate was meant to be, and
// those whose preimage we do not know were never ours to keep towards anybody upstream.
//
// The 3-block rule (HTLCFailedEarly) concerns an outbound HTLC of a forward from the moment on that its channel has ended.
//
// # Claims
//
// A claim under way keeps its outputs: what becomes claimable later gets one of its own. Together are claimed: HTLC-success; HTLC-timeout of one
// expiry; preimages on their commitment; time-outs on theirs; to_local and second stages of a revoked commitment, which nobody can contest before
// the delay is over; its HTLCs. 60 outputs at most. Each alone: from 12 blocks before the deadline on where the output pays the fee, and everywhere
// once the counterparty was faster with an output of that sort, because a claim of many dies when one of its outputs is taken. The first output
// that leaves a claim replaces it; the others follow when that is signed, and replace nothing.
//
// A claim that does not confirm is replaced after max(1, min(6, half of what is left to its deadline)) blocks, at 5/4 of its fee rate or the
// estimate, whichever is more, and never for more than its budget: half of what is at stake; for justice all of it but what an output needs; for
// the anchor half of the HTLCs that have a deadline, a hundredth of to_local, and 10,000. Deadlines are in fees.go.
//
// While a claim's outputs are spent by something that is not irrevocable, or its commitment is out of the chain, it is neither kept nor ended:
// a reorganisation brings it back.
//
// # Errors and bad peers
//
// Resolve fails only on facts that contradict each other (ErrContradiction, commitment and point errors). Transactions of the chain may have any
// shape. Sign gives *SignError; it runs every script of ours before it returns.
package claim
