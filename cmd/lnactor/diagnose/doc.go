// Package diagnose checks a running node for what the registry of health does not watch: the rights of its files, its clock, its peers, HTLCs that come
// near their deadlines. It is asked now and then, by 'lnactor doctor', and may take some seconds.
//
// Every check gives a result, also when all is good, so that a person sees what was looked at. A check that could not be made is Unknown, with why.
package diagnose
