//go:build race

package web

// The race detector multiplies memory, so it is not measured then.
const raceDetector = true
