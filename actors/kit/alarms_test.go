package kit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// TestAlarms: each is told as it was the last time, all are counted, and there is a bound: the oldest makes room.
func TestAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env, err := NewEnv(NewSystem(nil), "alice", Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		id := func(n int) ln.ChannelID { return ln.ChannelID{byte(n >> 8), byte(n)} }
		for n := range maxAlarms {
			env.Alarm(id(n), "it", "htlc_id=1")
			time.Sleep(time.Second) // virtual
		}
		env.Alarm(id(0), "it", "htlc_id=1") // again
		env.Alarm(id(0), "it", "htlc_id=2") // another
		newest, raised := env.Alarms()
		if len(newest) != maxAlarms || raised != maxAlarms+2 {
			t.Fatalf("%d alarms, raised %d times", len(newest), raised)
		}
		if newest[0].Channel != id(0) || newest[0].About != "htlc_id=1" || newest[1].About != "htlc_id=2" || newest[2].Channel != id(2) || newest[maxAlarms-1].Channel != id(maxAlarms-1) {
			t.Errorf("%+v, %+v ... %+v", newest[:2], newest[2], newest[maxAlarms-1])
		}
	})
}
