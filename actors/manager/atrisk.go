package manager

import (
	"log/slog"

	"github.com/lnactor/lnactor/internal/ln"
)

// atRisk tells people of money of a channel that is lost or may be. A start may tell it again, about the same: an HTLC or a payment.
func (m *Manager) atRisk(channel ln.ChannelID, what string, about slog.Attr, more ...any) {
	m.log.Error(what, append([]any{slog.String("channel_id", channel.String()), about}, more...)...)
	if m.cfg.Alarm != nil {
		m.cfg.Alarm(channel, what, about.String())
	}
}
