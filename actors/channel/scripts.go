package channel

import "github.com/btcsuite/btcd/txscript"

// validShutdownScript tells whether BOLT 2 allows the script in shutdown: version 0 witness programs, and later versions of 2 to 40 bytes
// (option_shutdown_anysegwit). P2PKH and P2SH are what older nodes still send.
func validShutdownScript(script []byte) bool {
	switch {
	case txscript.IsPayToWitnessPubKeyHash(script), txscript.IsPayToWitnessScriptHash(script),
		txscript.IsPayToPubKeyHash(script), txscript.IsPayToScriptHash(script):
		return true
	}
	return len(script) >= 4 && len(script) <= 42 &&
		script[0] >= txscript.OP_1 && script[0] <= txscript.OP_16 && int(script[1]) == len(script)-2
}
