package kit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// TestAlarms: the newest of each channel is told, all are counted, and there is a bound: the oldest makes room.
func TestAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env, err := NewEnv(NewSystem(nil), "alice", Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		id := func(n int) ln.ChannelID { return ln.ChannelID{byte(n >> 8), byte(n)} }
		for n := range maxAlarms {
			env.Alarm(id(n), "first")
			time.Sleep(time.Second) // virtual
		}
		env.Alarm(id(0), "second")
		env.Alarm(id(maxAlarms), "one too many")
		newest, raised := env.Alarms()
		if len(newest) != maxAlarms || raised != maxAlarms+2 {
			t.Fatalf("%d channels, %d alarms", len(newest), raised)
		}
		if newest[0].Channel != id(0) || newest[0].What != "second" || newest[1].Channel != id(2) || newest[maxAlarms-1].Channel != id(maxAlarms) {
			t.Errorf("%+v, %+v ... %+v", newest[0], newest[1], newest[maxAlarms-1])
		}
	})
}
