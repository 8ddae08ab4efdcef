package diagnose

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lnactor/lnactor"
)

// Result is how a check came out.
type Result uint8

// Results.
const (
	Good Result = iota
	Unknown
	Warning
	Critical
)

var names = [...]string{"good", "unknown", "warning", "critical"}

// String is the result in a word.
func (r Result) String() string {
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Check is one check and how it came out.
type Check struct {
	Name    string // a stable word
	Result  Result
	Finding string
	Remedy  string // empty if it is good
}

// Node is what the checks need of a node.
type Node interface {
	Channels(ctx context.Context) ([]lnactor.Channel, error)
	Peers(ctx context.Context) ([]lnactor.Peer, error)
	ChainTip(ctx context.Context) (lnactor.ChainTip, error)
	FundsStatus(ctx context.Context) (lnactor.FundsStatus, error)
}

// Config says what is looked at.
type Config struct {
	Node   Node
	Dir    string // empty: no files are looked at
	Public bool   // blocks come by themselves, and their times mean something
	Now    func() time.Time
}

// patience bounds each question to the node.
const patience = 5 * time.Second

// Limits of the clock against the newest block (BOLT and Bitcoin leave 2 hours), and of HTLCs.
const (
	clockAhead = 3 * time.Hour
	clockBack  = 2 * time.Hour
	soonBlocks = 18
)

// Run makes all checks, in a fixed order.
func Run(ctx context.Context, c Config) []Check {
	if c.Now == nil {
		c.Now = time.Now
	}
	out := []Check{c.files(), c.events(ctx), c.clock(ctx)}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	channels, err := c.Node.Channels(wait)
	if err != nil {
		return append(out, unknown("channels", err))
	}
	return append(out, c.peers(ctx, channels), deadlines(channels), restored(channels))
}

func unknown(name string, err error) Check {
	return Check{name, Unknown, fmt.Sprintf("it could not be checked: %v", err), "look at 'lnactor status', and try again"}
}

// files: nobody else may read or change what is in the data directory.
func (c Config) files() Check {
	const name = "files"
	if c.Dir == "" || runtime.GOOS == "windows" {
		return Check{name, Unknown, "the rights of files are not known here", ""}
	}
	var open []string
	entries := 0
	err := filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it went away meanwhile
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		entries++
		// What is in a directory that nobody else may enter is safe, and certificates are public.
		if info.Mode().Perm()&0o077 != 0 && d.Type() != fs.ModeSymlink && (path == c.Dir || secret(path)) {
			open = append(open, fmt.Sprintf("%s (%#o)", path, info.Mode().Perm()))
		}
		return nil
	})
	switch {
	case err != nil:
		return unknown(name, err)
	case len(open) > 0:
		slices.Sort(open)
		return Check{
			name, Critical, "others can get at " + strings.Join(open[:min(len(open), 5)], ", "),
			fmt.Sprintf("chmod 700 %q and chmod 600 the files; who has read the seed, or a backup with it, has the money: then move it", c.Dir),
		}
	}
	return Check{name, Good, fmt.Sprintf("%d files and directories, for their owner only", entries), ""}
}

// secret tells files whose rights matter by themselves, wherever they are copied from.
func secret(path string) bool {
	name := filepath.Base(path)
	return name == "seed" || name == "store.db" || strings.HasPrefix(name, "token-") || strings.HasPrefix(name, "secret-") || strings.HasSuffix(name, "-key.pem")
}

// clock compares with the time of the newest block, which its miner set within two hours of the network's.
func (c Config) clock(ctx context.Context) Check {
	const name = "clock"
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tip, err := c.Node.ChainTip(wait)
	if err != nil {
		return unknown(name, err)
	}
	late := c.Now().Sub(tip.Time)
	at := tip.Time.UTC().Format(time.RFC3339)
	switch {
	case !c.Public:
		return Check{name, Good, "blocks of this chain come at will, and say nothing about the clock", ""}
	case late < -clockBack:
		return Check{
			name, Critical, fmt.Sprintf("block %d is of %s, %s after this machine's clock", tip.Height, at, (-late).Round(time.Minute)),
			"set the clock (timedatectl): invoices, gossip and time-outs go by it",
		}
	case late > clockAhead:
		return Check{
			name, Warning, fmt.Sprintf("block %d is of %s, %s ago: the clock is ahead, or the chain source has no news", tip.Height, at, late.Round(time.Minute)),
			"compare the clock with another one (timedatectl), and the height with a block explorer",
		}
	}
	return Check{name, Good, fmt.Sprintf("block %d is of %s", tip.Height, at), ""}
}

// peers: a channel whose peer is away can neither send nor receive, and its HTLCs run into their deadlines.
func (c Config) peers(ctx context.Context, channels []lnactor.Channel) Check {
	const name = "peers"
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := c.Node.Peers(wait)
	if err != nil {
		return unknown(name, err)
	}
	connected := map[lnactor.NodeID]bool{}
	for _, p := range list {
		connected[p.Peer] = connected[p.Peer] || p.Connected
	}
	away := map[lnactor.NodeID]int{}
	live := 0
	for i := range channels {
		switch ch := &channels[i]; {
		case ch.Phase == lnactor.PhaseClosed || ch.Phase == lnactor.PhaseForceClosed || ch.Phase == lnactor.PhaseMutualClose:
		case connected[ch.Peer]:
			live++
		default:
			away[ch.Peer]++
		}
	}
	if len(away) == 0 {
		return Check{name, Good, fmt.Sprintf("the peers of all %d channels are connected", live), ""}
	}
	var who []string
	for id, n := range away {
		who = append(who, fmt.Sprintf("%s (%d channels)", id, n))
	}
	slices.Sort(who)
	return Check{
		name, Warning, "not connected: " + strings.Join(who[:min(len(who), 5)], ", "),
		"ask for their address of today and give it to 'lnactor connect'; a peer that stays away for weeks: 'lnactor force-close'",
	}
}

// deadlines: HTLCs that will close their channel soon if nothing happens.
func deadlines(channels []lnactor.Channel) Check {
	const name = "htlcs"
	soon, all := uint32(0), 0
	var where []string
	for i := range channels {
		c := &channels[i]
		all += c.OutboundHTLCs + c.InboundHTLCs
		n := c.Deadlines[0] + c.Deadlines[1] // up to soonBlocks
		if n > 0 && c.Phase != lnactor.PhaseClosed {
			soon += n
			where = append(where, c.Channel.String())
		}
	}
	if soon == 0 {
		return Check{name, Good, fmt.Sprintf("none of %d HTLCs is within %d blocks of its deadline", all, soonBlocks), ""}
	}
	return Check{
		name, Warning, fmt.Sprintf("%d HTLCs are within %d blocks of the height at which their channel is closed over them: %s", soon, soonBlocks, strings.Join(where[:min(len(where), 5)], ", ")),
		"'lnactor htlcs explain' says what each waits for; mostly the peer has to come back",
	}
}

// restored: channels that are silent because they came from a backup, and those of which the peer has shown that it was old.
func restored(channels []lnactor.Channel) Check {
	const name = "restored"
	var unverified, behind, finding, remedy []string
	for i := range channels {
		switch c := &channels[i]; {
		case c.Spent != nil:
		case c.Phase == lnactor.PhaseBehind:
			behind = append(behind, fmt.Sprintf("%s with %s", c.Channel, c.Peer))
		case c.Unverified:
			unverified = append(unverified, fmt.Sprintf("%s with %s", c.Channel, c.Peer))
		}
	}
	if len(unverified)+len(behind) == 0 {
		return Check{name, Good, "no channel waits to be verified after a restore", ""}
	}
	if len(unverified) > 0 {
		finding = append(finding, "restored from a backup and not verified, so that nothing is broadcast even at a deadline: "+strings.Join(unverified[:min(len(unverified), 5)], ", "))
		remedy = append(remedy, "connect to the peers: that verifies the channels, or proves the backup to be old")
	}
	if len(behind) > 0 {
		finding = append(finding, "proven to be older than the channel, which only its peer can close: "+strings.Join(behind[:min(len(behind), 5)], ", "))
		remedy = append(remedy, "ask the peers to close the channels that they know better; what is ours is swept then")
	}
	return Check{name, Critical, strings.Join(finding, "; "), strings.Join(remedy, "; ") + " (docs/backup.md)"}
}
