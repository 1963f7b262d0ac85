// Buys tickets and waits for the answer: buy EVENT QUANTITY BUYER REQUEST_ID.
//
// Prints the fact. Ends with 0 if tickets were sold or are held, 3 if not, 4 if there is no answer yet: ask again, with the
// same id.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	timeout = 60 * time.Second
	again   = 5 * time.Second
)

var (
	servers  = cmp.Or(os.Getenv("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS"), "127.0.0.1:9092")
	prefix   = os.Getenv("BOXOFFICE_TOPIC_PREFIX")
	requests = prefix + "purchase-requests"
	results  = prefix + "purchase-results"

	got        = []string{"purchase_confirmed", "purchase_held"}
	remembered = append([]string{"hold_expired", "purchase_cancelled", "purchase_rejected"}, got...)
)

type place struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// A fact has other members too: raw is all of it.
type fact struct {
	Type      string `json:"type"`
	EventID   string `json:"event_id"`
	Seq       int64  `json:"seq"`
	RequestID string `json:"request_id"`
	Purchase  string `json:"purchase"`
	Reason    string `json:"reason"`
	Buyer     string `json:"buyer"`
	Quantity  int    `json:"quantity"`
	Source    place  `json:"source"`
	raw       []byte
}

type command struct {
	RequestID string `json:"request_id"`
	EventID   string `json:"event_id"`
	Buyer     string `json:"buyer"`
	Quantity  int    `json:"quantity"`
}

// A purchase and what was read of it. Each time that it is sent makes a copy, known by the place where it lies.
type request struct {
	command    command
	copies     []place
	refused    map[place]*fact
	remembered *fact
}

// read remembers what may be an answer: facts come in any order, and before one knows where the copy lies.
func (r *request) read(f *fact) {
	switch {
	case r.isRememberedBy(f):
		r.remembered = f
	case f.Type == "purchase_rejected" || f.Type == "command_unreadable":
		r.refused[f.Source] = f
	}
}

// answer is what is remembered, whichever copy it was of; or a refusal that is not, once all copies are refused.
func (r *request) answer() *fact {
	if r.remembered != nil {
		return r.remembered
	}
	var last *fact
	for _, one := range r.copies {
		if last = r.refused[one]; last == nil {
			return nil
		}
	}
	return last
}

// isRememberedBy tells whether it says for good what became of this purchase. The id alone might be another's purchase.
func (r *request) isRememberedBy(f *fact) bool {
	if !slices.Contains(remembered, f.Type) || f.Seq == 0 || f.Reason == "request_id_reused" {
		return false
	}
	told := command{RequestID: cmp.Or(f.Purchase, f.RequestID), EventID: f.EventID, Buyer: f.Buyer, Quantity: f.Quantity}
	if f.RequestID != r.command.RequestID {
		// What another request has made of it may be about some of its tickets.
		told.Quantity = r.command.Quantity
	}
	return told == r.command
}

// buy sends the request, again if there is no answer for a while; nil if there is none at all.
func buy(ctx context.Context, r *request) (*fact, error) {
	consumer, err := fromNow(ctx)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	// Its defaults are as they should be: murmur2 of the key, acks=all, idempotent.
	producer, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(servers, ",")...))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	value, err := json.Marshal(r.command)
	if err != nil {
		return nil, err
	}
	key := []byte(r.command.EventID)
	for end := time.Now().Add(timeout); time.Now().Before(end); {
		sent, err := producer.ProduceSync(ctx, &kgo.Record{Topic: requests, Key: key, Value: value}).First()
		if err != nil {
			return nil, err
		}
		r.copies = append(r.copies, place{sent.Partition, sent.Offset})
		for next := time.Now().Add(again); time.Now().Before(next); {
			if err := poll(ctx, consumer, r); err != nil {
				return nil, err
			}
			if f := r.answer(); f != nil {
				return f, nil
			}
		}
	}
	return nil, nil
}

func poll(ctx context.Context, consumer *kgo.Client, r *request) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for _, record := range consumer.PollFetches(ctx).Records() {
		f := &fact{raw: record.Value}
		if err := json.Unmarshal(record.Value, f); err != nil {
			return err
		}
		r.read(f)
	}
	return nil
}

// fromNow reads all partitions from the ends that they have before anything is sent.
func fromNow(ctx context.Context) (*kgo.Client, error) {
	seeds := kgo.SeedBrokers(strings.Split(servers, ",")...)
	client, err := kgo.NewClient(seeds)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, results)
	if err := cmp.Or(err, ends.Error()); err != nil {
		return nil, err
	}
	return kgo.NewClient(seeds, kgo.ConsumePartitions(ends.KOffsets()))
}

func main() {
	if len(os.Args) != 5 {
		log.Fatal("buy EVENT QUANTITY BUYER REQUEST_ID")
	}
	quantity, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	asked := command{RequestID: os.Args[4], EventID: os.Args[1], Buyer: os.Args[3], Quantity: quantity}
	// Longer than all waiting: only a broker that cannot be reached takes so long.
	ctx, cancel := context.WithTimeout(context.Background(), 2*timeout)
	defer cancel()
	f, err := buy(ctx, &request{command: asked, refused: map[place]*fact{}})
	switch {
	case err != nil:
		log.Fatal(err)
	case f == nil:
		fmt.Fprintln(os.Stderr, "No answer yet: ask again with the same request id.")
		os.Exit(4)
	}
	fmt.Println(string(f.raw))
	if !slices.Contains(got, f.Type) {
		os.Exit(3)
	}
}
