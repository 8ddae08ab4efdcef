// Package opening negotiates a channel: open_channel, accept_channel, funding_created, funding_signed (BOLT 2, Channel Establishment v1).
//
// An opening lives under its temporary channel id, has nothing on disk but its channel key index (rule 1) and may die at any moment: then the
// channel never existed. It ends by handing facts.Opened to Monitors. The monitor makes that durable before funding_signed leaves (fundee, rule
// 2) or the funding transaction is broadcast (funder, rule 3).
//
// Channel type: static_remotekey with anchors_zero_fee_htlc, single funded. Amounts are in satoshi or millisatoshi as named.
package opening
