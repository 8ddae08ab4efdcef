package supervisor

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/chainwatch"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/channel"
	"github.com/lnactor/lnactor/actors/channel/opening"
	"github.com/lnactor/lnactor/actors/funds"
	"github.com/lnactor/lnactor/actors/graph"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// The two supervisors above everything.
const (
	NodeAddr   messages.Addr = "node"
	ActorsAddr messages.Addr = "actors"
)

// Parts is what a node is put together from.
type Parts struct {
	Store      persister.Store
	StoreStats *persister.Stats // may be nil
	Chain      chain.Source
	Signer     chankeys.Signer
	Wallet     wallet.Wallet
	WalletFrom uint32       // first block that can concern the wallet
	Funds      funds.Config // but for what comes from Wallet, WalletFrom and Chain
	Alias      func(ln.ChannelID) uint64

	Manager manager.Config
	Monitor monitor.Config
	Channel channel.Config
	Opening opening.Config
	Graph   *graph.Config // but for what comes from Signer and Chain; nil: gossip is not spoken, and Peers must not tell of it

	Events      actor.Producer // at messages.EventsAddr
	Interceptor actor.Producer // at messages.InterceptorAddr; nil: none, and the manager must not ask
	Peers       actor.Producer // at messages.PeersAddr

	Tip func() opening.Tip // best block that the node knows

	Backoff      Backoff // of all actors; zero fields have defaults
	MonitorLimit float64 // failures of a monitor that quarantine it; 0: 5
	Observe      func(Event)
}

// StartNode starts the whole tree:
//
//	node            rest_for_one; gives up => the node stops
//	├─ persister    its crash restarts everything: what others hold in memory may be ahead of the log
//	└─ actors       one_for_one
//	   ├─ events      user events on their way to the embedder
//	   ├─ interceptor questions to the embedder, if it wants any
//	   ├─ chainwatch  back-off for ever
//	   ├─ funds       feeds the wallet
//	   ├─ manager     rebuilt from monitors and its own records
//	   ├─ monitors    see monitors.go: pairs of monitor and channel, and openings
//	   ├─ peers       sessions
//	   └─ graph       the channel graph, a cache
//
// The manager, chainwatch and peers stand beside each other because each of them can be had again by the others: a manager's crash needs no
// peer to reconnect.
func StartNode(env *kit.Env, p Parts) (*actor.PID, error) {
	p.setDefaults()
	var opts []persister.Option
	if p.StoreStats != nil {
		opts = append(opts, persister.WithStats(p.StoreStats))
	}
	p.Channel.Gossip, p.Manager.Graph = p.Graph != nil, p.Graph != nil
	announce := []messages.Addr{messages.FundsAddr}
	if p.Graph != nil {
		announce = append(announce, messages.GraphAddr)
	}
	actors := Config{
		Strategy: OneForOne,
		Events:   p.observe(env),
		Children: []ChildSpec{
			p.forever(messages.EventsAddr, p.Events),
			p.forever(messages.ChainWatchAddr, chainwatch.Producer(env, p.Chain,
				chainwatch.WithGenesis(p.Opening.Chain), chainwatch.WithAnnounce(announce...))),
			p.forever(messages.FundsAddr, funds.Producer(env, p.funds())),
			p.forever(messages.ManagerAddr, manager.Producer(env, p.Manager)),
			{Name: messages.MonitorsAddr, Producer: newMonitors(env, p), Drains: true, Backoff: p.Backoff, GiveUp: Escalate, Limit: 10},
			p.forever(messages.PeersAddr, p.Peers),
		},
	}
	if p.Interceptor != nil {
		actors.Children = append(actors.Children, p.forever(messages.InterceptorAddr, p.Interceptor))
	}
	if p.Graph != nil {
		cfg := *p.Graph
		cfg.Signer, cfg.Outputs = p.Signer, outputsOf(p.Chain)
		actors.Children = append(actors.Children, p.forever(messages.GraphAddr, graph.Producer(env, cfg)))
	}
	return Start(env, NodeAddr, Config{
		Strategy: RestForOne,
		Events:   p.observe(env),
		Children: []ChildSpec{
			{Name: messages.PersisterAddr, Producer: persister.Producer(env, p.Store, opts...), Backoff: p.Backoff, GiveUp: Escalate, Limit: 20},
			{Name: ActorsAddr, Producer: New(env, actors), Drains: true, Backoff: p.Backoff, GiveUp: Escalate, Limit: 20},
		},
	})
}

// forever is a child that is restarted as often as it takes: it holds nothing that a restart can't have again.
func (p Parts) forever(name messages.Addr, producer actor.Producer) ChildSpec {
	b := p.Backoff
	if name == messages.ChainWatchAddr && b == (Backoff{}) {
		b = Backoff{Min: 250 * time.Millisecond, Max: time.Minute}
	}
	return ChildSpec{Name: name, Producer: producer, Backoff: b, GiveUp: Never}
}

func (p Parts) observe(env *kit.Env) func(Event) {
	log := LogEvents(env.Log)
	if p.Observe == nil {
		return log
	}
	return func(e Event) {
		log(e)
		p.Observe(e)
	}
}

func (p Parts) funds() funds.Config {
	cfg := p.Funds
	cfg.Wallet, cfg.From, cfg.Blocks, cfg.Fees = p.Wallet, p.WalletFrom, blocksOf(p.Chain), feesOf(p.Chain)
	cfg.Signer, cfg.Classify, cfg.AwaitMonitors = p.Signer, refusalOf, true
	return cfg
}

// pair is the monitor and the channel of one channel. The monitor's restart restarts the channel, whose memory may be ahead of the log.
func (p Parts) pair(env *kit.Env, id ln.ChannelID, create *messages.CreateChannel) []ChildSpec {
	group := fmt.Sprintf("channel/%s", id)
	return []ChildSpec{
		{
			Name: messages.MonitorAddr(id), Group: group, Producer: monitor.Producer(env, p.Signer, id, p.Monitor, create),
			Backoff: p.Backoff, Limit: p.MonitorLimit, GiveUp: Quarantine, StandIn: monitor.Watcher(env, p.Signer, id),
		},
		{
			Name: messages.ChannelAddr(id), Group: group, Producer: channel.Producer(env, p.Signer, id, p.Channel),
			Backoff: p.Backoff, Limit: channelLimit, GiveUp: Quarantine,
		},
	}
}

// channelLimit is how often a channel may crash in a short time. It holds nothing that its monitor does not, so it may crash often; but one that
// can't even start would keep the manager waiting for its fence for ever.
const channelLimit = 50

// setDefaults fills in what the parts of the tree know of each other.
func (p *Parts) setDefaults() {
	if p.MonitorLimit == 0 {
		p.MonitorLimit = 5
	}
	if p.Manager.DecodeClosed == nil {
		p.Manager.DecodeClosed = readClosed
	}
	if p.Manager.CheckOpen == nil {
		p.Manager.CheckOpen = p.Opening.Check
	}
}
