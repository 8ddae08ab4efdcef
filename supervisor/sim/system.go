package sim

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/lnactor/lnactor/actors/kit"
)

// shared is what all simulations have in common. A whole actor system costs 2.8 MB and milliseconds, nearly all of it for the 1,024 parts
// of its process registry, of which one is enough for a simulation.
var shared struct {
	sync.Mutex
	base *actor.ActorSystem
	part *actor.SliceMap // parts not handed out yet
}

// newSystem makes an actor system of its own names, guardians and dead letters.
func newSystem() *actor.ActorSystem {
	shared.Lock()
	defer shared.Unlock()
	if shared.base == nil {
		shared.base = kit.NewSystem(nil)
	}
	if shared.part == nil || len(shared.part.LocalPIDs) == 0 {
		shared.part = actor.NewProcessRegistry(shared.base).LocalPIDs
	}
	system := new(actor.ActorSystem)
	*system = *shared.base
	system.ProcessRegistry = &actor.ProcessRegistryValue{
		ActorSystem: system,
		Address:     shared.base.Address(),
		LocalPIDs:   &actor.SliceMap{LocalPIDs: shared.part.LocalPIDs[:1:1]},
	}
	shared.part.LocalPIDs = shared.part.LocalPIDs[1:]
	system.Root = actor.NewRootContext(system, nil)
	system.Guardians = actor.NewGuardians(system)
	system.EventStream = eventstream.NewEventStream()
	system.DeadLetter = actor.NewDeadLetter(system)
	system.EventStream = eventstream.NewEventStream() // without the subscribers that NewDeadLetter made
	kit.DeadLetters(system)
	return system
}
