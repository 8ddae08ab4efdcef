package monitor

import (
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/messages"
)

// ArchiveDepth is how many confirmations the last transaction of a channel needs before its log is given up (rule 23).
const ArchiveDepth = 100

// archivePage is how many rows of revoked commitments are deleted at a time.
const archivePage = 500

// archive begins to give the log up, once that is due, and nothing of another monitor depends on this one: only the manager knows what it forwarded,
// so it is asked (rule 23). The data of revoked commitments goes first, page by page: a crash in between finds the rest
// and goes on. Nothing can need them: their outputs are spent by what is ArchiveDepth deep.
func (s *Session) archive(o *Output) {
	if s.over || s.archiving || !s.m.archivable() {
		return
	}
	if !s.granted {
		if !s.asking {
			s.asking = true
			o.tell(messages.ManagerAddr, messages.MayArchive{Channel: s.id, Incarnation: s.incarnation})
		}
		return
	}
	s.archiving = true
	s.nextPage(o)
}

func (s *Session) nextPage(o *Output) {
	o.tell(messages.PersisterAddr, messages.GetRows{
		Bucket: messages.BucketRevoked, Key: s.id[:], Prefix: true, Limit: archivePage, Incarnation: s.incarnation, Token: tokenArchive,
		ReplyTo: messages.MonitorAddr(s.id),
	})
}

// page deletes a page of rows, or, after the last one, ends the log: from then on a row says what became of the channel.
func (s *Session) page(m messages.GotRows) Output {
	var o Output
	s.archiving = false
	switch {
	case m.Err != nil:
		o.Refused = m.Err // tried again with the next block
	case !s.m.archivable():
	case len(m.Rows) > 0:
		for _, r := range m.Rows {
			o.Delete = append(o.Delete, messages.Row{Bucket: messages.BucketRevoked, Key: r.Key})
		}
		s.archiving = true
		s.nextPage(&o)
	default:
		s.over = true
		o.Forget = true
		o.Rows = []record.Row{s.m.closedRow()}
		o.tell(messages.ChainWatchAddr, messages.ChainUnregister{Channel: s.id, Incarnation: s.incarnation})
		o.tell(messages.ManagerAddr, messages.ChannelArchived{Channel: s.id})
		o.tell(messages.MonitorsAddr, messages.ChannelArchived{Channel: s.id})
	}
	return o
}
