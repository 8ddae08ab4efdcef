// Package metrics shows a node to Prometheus.
//
// Everything is read when it is asked for: from the snapshot of package health, from counters that are kept anyway, and by one pass over the mailboxes'
// counters. Nothing is done for an event but an atomic addition for each that is told to users, and no lock is shared by channels.
//
// The table of metrics is in docs/operations.md; a test keeps the two alike. There is no balance among them and no id of a channel, peer or payment.
package metrics
