package bookshop

import (
	"bytes"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBookshop(t *testing.T) {
	shop := New()
	rows := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/books?query=sea&limit=1", "", 200, `"total":1`},
		{"GET", "/books?tag=castles&limit=2", "", 200, `"total":5`},
		{"GET", "/books?limit=0", "", 400, "limit must be"},
		{"GET", "/books/b1", "", 200, "The Tide Tables"},
		{"GET", "/books/none", "", 404, "there is no book"},
		{"POST", "/orders", `{"book":"b1","copies":2,"customer":"Ada"}`, 201, `"id":"o1"`},
		{"POST", "/orders", `{"book":"b4","copies":1,"customer":"Ada"}`, 409, "only 0 copies"},
		{"POST", "/orders", `{"book":"b1","copies":0,"customer":"Ada"}`, 422, "copies must be"},
		{"POST", "/orders", `{"book":"b1","copies":1}`, 422, "customer is missing"},
		{"POST", "/orders", `nonsense`, 400, "not an order"},
		{"PATCH", "/orders/o1", `{"copies":7}`, 200, `"total":13230`},
		{"PATCH", "/orders/o1", `{"copies":8}`, 409, "only 7 copies"},
		{"GET", "/orders/o1", "", 200, `"copies":7`},
		{"GET", "/reports/sales?seconds=0", "", 200, `"copies":7`},
		{"DELETE", "/orders/o1", "", 204, ""},
		{"GET", "/orders/o1", "", 200, `"cancelled"`},
		{"PATCH", "/orders/o1", `{"copies":1}`, 409, "cancelled"},
		{"GET", "/orders/o9", "", 404, "there is no order"},
		{"GET", "/broken", "", 503, "maintenance"},
		{"PUT", "/books", "", 405, ""},
	}
	for _, row := range rows {
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, httptest.NewRequest(row.method, row.path, strings.NewReader(row.body)))
		if w.Code != row.status || !strings.Contains(w.Body.String(), row.want) {
			t.Errorf("%s %s: got %d %s; want %d with %q", row.method, row.path, w.Code, w.Body, row.status, row.want)
		}
	}
}

func TestPagesLinkToTheNext(t *testing.T) {
	shop, path, seen := New(), "/books?limit=5", 0
	for range 4 {
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		seen += strings.Count(w.Body.String(), `"id"`)
		link := w.Header().Get("Link")
		if link == "" {
			break
		}
		path = link[1:strings.IndexByte(link, '>')]
	}
	if seen != len(shelf()) {
		t.Errorf("following Link gave %d books; want %d", seen, len(shelf()))
	}
}

func TestCoverAndJingle(t *testing.T) {
	shop := New()
	w := httptest.NewRecorder()
	shop.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/books/b2/cover", nil))
	if _, err := png.Decode(w.Body); err != nil || w.Header().Get("Content-Type") != "image/png" {
		t.Errorf("the cover is not a PNG: %v", err)
	}
	w = httptest.NewRecorder()
	shop.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/books/b2/jingle", nil))
	if !bytes.HasPrefix(w.Body.Bytes(), []byte("RIFF")) || w.Body.Len() != 44+2000 {
		t.Errorf("the jingle is not a WAV of 2000 samples: %d bytes", w.Body.Len())
	}
}
