//go:build !linux

package store

import "testing"

func mountSmall(*testing.T) (dir string, mounted bool) { return "", false }

func freeze(*testing.T, string, *Store) {}
