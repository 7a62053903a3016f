// Package bookshop is the small real REST service that the quickstart puts behind
// the gateway: books, orders, covers as images, an endpoint that takes its time
// and one that fails.
//
//	GET    /books?query=&tag=&limit=&page=   search, with a Link header to the next page
//	GET    /books/{id}                       one book
//	GET    /books/{id}/cover                 image/png
//	GET    /books/{id}/jingle                audio/wav
//	POST   /orders                           {"book": "b1", "copies": 2, "customer": "Ada"}
//	GET    /orders/{id}                      one order
//	PATCH  /orders/{id}                      {"copies": 3}
//	DELETE /orders/{id}                      cancel it
//	GET    /reports/sales?seconds=2          answers after so many seconds (at most 20)
//	GET    /broken                           503 with Retry-After
//
//	log.Fatal(http.ListenAndServe("127.0.0.1:8081", bookshop.New()))
package bookshop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxOrders bounds what the shop remembers.
const maxOrders = 10_000

// Order is one order. State is open or cancelled.
type Order struct {
	ID       string `json:"id"`
	Book     string `json:"book"`
	Copies   int    `json:"copies"`
	Customer string `json:"customer"`
	Total    int    `json:"total"`
	State    string `json:"state"`
}

// Shop is the service. It is safe for concurrent use.
type Shop struct {
	mux    *http.ServeMux
	mu     sync.Mutex
	books  []Book
	orders map[string]*Order
	last   int
}

// New returns a shop with full shelves and no orders.
func New() *Shop {
	s := &Shop{mux: http.NewServeMux(), books: shelf(), orders: map[string]*Order{}}
	s.mux.HandleFunc("GET /books", s.search)
	s.mux.HandleFunc("GET /books/{id}", s.book)
	s.mux.HandleFunc("GET /books/{id}/cover", s.cover)
	s.mux.HandleFunc("GET /books/{id}/jingle", s.jingle)
	s.mux.HandleFunc("POST /orders", s.order)
	s.mux.HandleFunc("GET /orders/{id}", s.oneOrder)
	s.mux.HandleFunc("PATCH /orders/{id}", s.changeOrder)
	s.mux.HandleFunc("DELETE /orders/{id}", s.cancelOrder)
	s.mux.HandleFunc("GET /reports/sales", s.sales)
	s.mux.HandleFunc("GET /broken", s.broken)
	return s
}

// ServeHTTP answers one request.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client left: nothing to do about it
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	reply(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

// number reads a query parameter that must lie in [low, high].
func number(r *http.Request, name string, missing, low, high int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s must be a number from %d to %d", name, low, high)
	}
	return n, nil
}

func (s *Shop) search(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", 5, 1, 50)
	page, err2 := number(r, "page", 1, 1, 1000)
	if err := errors.Join(err, err2); err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	query, tag := strings.ToLower(r.URL.Query().Get("query")), r.URL.Query().Get("tag")
	s.mu.Lock()
	found := []Book{}
	for _, b := range s.books {
		if strings.Contains(strings.ToLower(b.Title+" "+b.Author), query) && (tag == "" || slices.Contains(b.Tags, tag)) {
			found = append(found, b)
		}
	}
	s.mu.Unlock()
	total := len(found)
	from := min((page-1)*limit, total)
	to := min(from+limit, total)
	if to < total {
		next := r.URL.Query()
		next.Set("page", strconv.Itoa(page+1))
		w.Header().Set("Link", fmt.Sprintf("</books?%s>; rel=\"next\"", next.Encode()))
	}
	reply(w, http.StatusOK, map[string]any{"total": total, "books": found[from:to]})
}

// find returns the index of a book; s.mu is held.
func (s *Shop) find(id string) int {
	return slices.IndexFunc(s.books, func(b Book) bool { return b.ID == id })
}

func (s *Shop) lookup(w http.ResponseWriter, r *http.Request) (Book, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(r.PathValue("id"))
	if i < 0 {
		refuse(w, http.StatusNotFound, "there is no book %q", r.PathValue("id"))
		return Book{}, false
	}
	return s.books[i], true
}

func (s *Shop) book(w http.ResponseWriter, r *http.Request) {
	if b, ok := s.lookup(w, r); ok {
		reply(w, http.StatusOK, b)
	}
}

// body reads a small JSON object strictly.
func body(r *http.Request, v any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func (s *Shop) order(w http.ResponseWriter, r *http.Request) {
	var o Order
	if err := body(r, &o); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not an order: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(o.Book)
	switch {
	case i < 0:
		refuse(w, http.StatusUnprocessableEntity, "there is no book %q", o.Book)
		return
	case o.Copies < 1:
		refuse(w, http.StatusUnprocessableEntity, "copies must be at least 1")
		return
	case o.Customer == "":
		refuse(w, http.StatusUnprocessableEntity, "customer is missing")
		return
	case s.books[i].Stock < o.Copies:
		refuse(w, http.StatusConflict, "only %d copies of %q are left", s.books[i].Stock, s.books[i].Title)
		return
	case len(s.orders) >= maxOrders:
		refuse(w, http.StatusInsufficientStorage, "the order book is full; cancel some")
		return
	}
	s.books[i].Stock -= o.Copies
	s.last++
	o.ID, o.State, o.Total = fmt.Sprintf("o%d", s.last), "open", o.Copies*s.books[i].Price
	s.orders[o.ID] = &o
	w.Header().Set("Location", "/orders/"+o.ID)
	reply(w, http.StatusCreated, o)
}

// withOrder runs f on an order under the lock.
func (s *Shop) withOrder(w http.ResponseWriter, r *http.Request, f func(*Order)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.orders[r.PathValue("id")]
	if !ok {
		refuse(w, http.StatusNotFound, "there is no order %q", r.PathValue("id"))
		return
	}
	f(o)
}

func (s *Shop) oneOrder(w http.ResponseWriter, r *http.Request) {
	s.withOrder(w, r, func(o *Order) { reply(w, http.StatusOK, o) })
}

func (s *Shop) changeOrder(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Copies int `json:"copies"`
	}
	if err := body(r, &change); err != nil || change.Copies < 1 {
		refuse(w, http.StatusBadRequest, "the body must be {\"copies\": N} with N at least 1")
		return
	}
	s.withOrder(w, r, func(o *Order) {
		b := &s.books[s.find(o.Book)]
		if o.State != "open" {
			refuse(w, http.StatusConflict, "the order is %s", o.State)
			return
		}
		if b.Stock+o.Copies < change.Copies {
			refuse(w, http.StatusConflict, "only %d copies of %q are left", b.Stock+o.Copies, b.Title)
			return
		}
		b.Stock += o.Copies - change.Copies
		o.Copies, o.Total = change.Copies, change.Copies*b.Price
		reply(w, http.StatusOK, o)
	})
}

func (s *Shop) cancelOrder(w http.ResponseWriter, r *http.Request) {
	s.withOrder(w, r, func(o *Order) {
		if o.State == "open" {
			s.books[s.find(o.Book)].Stock += o.Copies
			o.State = "cancelled"
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Shop) sales(w http.ResponseWriter, r *http.Request) {
	seconds, err := number(r, "seconds", 2, 0, 20)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	select {
	case <-r.Context().Done(): // the gateway gave up: stop working
		return
	case <-time.After(time.Duration(seconds) * time.Second):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	copies, total := 0, 0
	for _, o := range s.orders {
		if o.State == "open" {
			copies, total = copies+o.Copies, total+o.Total
		}
	}
	reply(w, http.StatusOK, map[string]int{"orders": len(s.orders), "copies": copies, "total": total})
}

func (s *Shop) broken(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "30")
	refuse(w, http.StatusServiceUnavailable, "the stock system is down for maintenance")
}
