// Package disclosure finds tools.
package disclosure
