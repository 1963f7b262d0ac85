// Follows what is sold, and goes on where it stopped after a restart or a rebalance: follow FOLDER.
//
// What is made of a partition's facts, here sums, is kept in one file together with the place to go on from.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	servers = cmp.Or(os.Getenv("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS"), "127.0.0.1:9092")
	prefix  = os.Getenv("BOXOFFICE_TOPIC_PREFIX")
	results = prefix + "purchase-results"
	sign    = map[string]int{"purchase_confirmed": 1, "purchase_cancelled": -1}
)

type fact struct {
	Type    string   `json:"type"`
	EventID string   `json:"event_id"`
	Seq     int64    `json:"seq"`
	Tickets []string `json:"tickets"`
	Held    bool     `json:"held"`
}

type event struct {
	Seq  int64 `json:"seq"`
	Sold int   `json:"sold"`
}

// A partition's events, and the offset of the record that comes next.
type partition struct {
	file   string
	Next   int64            `json:"next"`
	Events map[string]event `json:"events"`
}

func open(folder string, number int32) (*partition, error) {
	p := &partition{file: filepath.Join(folder, fmt.Sprintf("%d.json", number)), Events: map[string]event{}}
	kept, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	return p, json.Unmarshal(kept, p)
}

// take takes exactly seq + 1 of an event, and ignores the rest.
func (p *partition) take(f fact) {
	e := p.Events[f.EventID]
	if f.Seq > e.Seq+1 {
		log.Printf("%s: %d after %d. Begun in the middle?", f.EventID, f.Seq, e.Seq)
	}
	if f.Seq != e.Seq+1 {
		return
	}
	e.Seq = f.Seq
	if !f.Held { // What was held and is given back was not sold.
		e.Sold += sign[f.Type] * len(f.Tickets)
	}
	p.Events[f.EventID] = e
	fmt.Println(f.EventID, e.Seq, f.Type, e.Sold)
}

// keep replaces the file at once: whenever we die, what is made and the place fit together.
func (p *partition) keep() error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	own := fmt.Sprintf("%s.%d", p.file, os.Getpid())
	if err := os.WriteFile(own, text, 0o600); err != nil {
		return err
	}
	return os.Rename(own, p.file)
}

// The partitions that the group has given us, and where they begin.
type owned struct {
	sync.Mutex
	folder     string
	partitions map[int32]*partition
}

func (o *owned) assigned(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	o.Lock()
	defer o.Unlock()
	for number := range offsets[results] {
		p, err := open(o.folder, number)
		if err != nil {
			return nil, err
		}
		o.partitions[number] = p
		offsets[results][number] = kgo.NewOffset().At(p.Next)
	}
	return offsets, nil
}

func (o *owned) take(records kgo.FetchTopicPartition) error {
	o.Lock()
	defer o.Unlock()
	if len(records.Records) == 0 {
		return nil
	}
	p := o.partitions[records.Partition]
	for _, record := range records.Records {
		var f fact
		if err := json.Unmarshal(record.Value, &f); err != nil {
			return err
		}
		p.take(f)
		p.Next = record.Offset + 1
	}
	return p.keep()
}

func follow(ctx context.Context, folder string) error {
	o := &owned{folder: folder, partitions: map[int32]*partition{}}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(servers, ",")...),
		kgo.ConsumerGroup(prefix+"follow-go"),
		kgo.ConsumeTopics(results),
		kgo.DisableAutoCommit(),
		// Who dies is replaced after so long.
		kgo.SessionTimeout(10*time.Second),
		kgo.AdjustFetchOffsetsFn(o.assigned),
		// No partition changes hands between a poll and what is made of it.
		kgo.BlockRebalanceOnPoll(),
		// A place that is not there belongs to another ledger.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		var failed error
		fetches.EachPartition(func(records kgo.FetchTopicPartition) {
			failed = errors.Join(failed, o.take(records))
		})
		if failed != nil {
			return failed
		}
		client.AllowRebalance()
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("follow FOLDER")
	}
	if err := os.MkdirAll(os.Args[1], 0o700); err != nil {
		log.Fatal(err)
	}
	log.Fatal(follow(context.Background(), os.Args[1]))
}
