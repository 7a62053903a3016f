package config

import (
	"fmt"
	"math/big"
	"strings"
)

// resolve says what a plain scalar means (YAML 1.2.2, section 10.3.2, core schema)
// and returns a number as JSON. Numbers that JSON cannot hold, or that YAML readers
// disagree on, are wrong.
func resolve(s string) (what sort, value, wrong string) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return null, "", ""
	case "true", "True", "TRUE":
		return boolean, "true", ""
	case "false", "False", "FALSE":
		return boolean, "false", ""
	}
	switch c := s[0]; {
	case c == '+' || c == '-' || c == '.' || '0' <= c && c <= '9':
	default:
		return text, s, ""
	}
	if jsonNumber(s) {
		if len(s) > maxNumber {
			return number, "0", longNumber
		}
		return number, s, ""
	}
	digits := strings.TrimLeft(s, "+-")
	sign := s[:len(s)-len(digits)]
	if len(sign) > 1 {
		return text, s, ""
	}
	switch digits {
	case ".inf", ".Inf", ".INF":
		return number, "0", "JSON has no infinity"
	case ".nan", ".NaN", ".NAN":
		if sign == "" {
			return number, "0", "JSON has no NaN"
		}
		return text, s, ""
	}
	if len(s) > maxNumber {
		return text, s, ""
	}
	if strings.HasPrefix(digits, "0o") || strings.HasPrefix(digits, "0x") {
		if v, ok := new(big.Int).SetString(digits, 0); ok && sign == "" && !strings.Contains(digits, "_") {
			return number, v.String(), ""
		}
		return text, s, ""
	}
	whole, rest := cutDigits(digits)
	fraction, exponent := "", ""
	if strings.HasPrefix(rest, ".") {
		fraction, rest = cutDigits(rest[1:])
		if whole == "" && fraction == "" {
			return text, s, ""
		}
	}
	if whole == "" && fraction == "" {
		return text, s, ""
	}
	if strings.HasPrefix(rest, "e") || strings.HasPrefix(rest, "E") {
		mark := 1
		if len(rest) > 1 && (rest[1] == '+' || rest[1] == '-') {
			mark = 2
		}
		power, left := cutDigits(rest[mark:])
		if power == "" {
			return text, s, ""
		}
		exponent, rest = rest[:mark]+power, left
	}
	if rest != "" {
		return text, s, ""
	}
	if len(whole) > 1 && whole[0] == '0' {
		return number, "0", fmt.Sprintf("%s begins with 0: some YAML readers take that for an octal number", quote(s))
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return number, strings.TrimPrefix(sign, "+") + whole + fraction + exponent, ""
}

func cutDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}
