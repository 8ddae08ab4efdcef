package supervisor

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

type incurable struct{}

func (incurable) Error() string    { return "the log does not decode" }
func (incurable) Quarantine() bool { return true }

// TestIncurableFailureQuarantinesAtOnce: no restart is wasted on what a restart cannot cure, and the neighbour goes on.
func TestIncurableFailureQuarantinesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := kit.NewSystem(nil)
		defer system.Shutdown()
		env, err := kit.NewEnv(system, "n", kit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		starts := 0
		var quarantined error
		child := func(limit float64, name messages.Addr) ChildSpec {
			return ChildSpec{Name: name, Limit: limit, GiveUp: Quarantine, Producer: func() actor.Actor {
				if name == "sick" {
					starts++
				}
				return actor.ReceiveFunc(func(ctx actor.Context) {
					switch ctx.Message().(type) {
					case string:
						panic(fmt.Errorf("replay: %w", incurable{}))
					case int:
						ctx.Respond("well")
					}
				})
			}}
		}
		if _, err := Start(env, "top", Config{
			Children: []ChildSpec{child(100, "sick"), child(100, "well")},
			Events: func(e Event) {
				if q, ok := e.(ChildQuarantined); ok {
					quarantined = q.Reason
				}
			},
		}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		env.Tell("sick", "die")
		time.Sleep(time.Hour)
		synctest.Wait()
		if !errors.As(quarantined, &incurable{}) || starts != 1 {
			t.Fatalf("quarantined for %v after %d starts", quarantined, starts)
		}
		if got, err := kit.Ask(t.Context(), env, "well", 1); err != nil || got != "well" {
			t.Fatalf("the neighbour: %v, %v", got, err)
		}
	})
}
