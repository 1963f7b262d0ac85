import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Follows what is sold, and goes on where it stopped after a restart or a rebalance: java Follow FOLDER.
 *
 * <p>What is made of a partition's facts, here sums, is kept in one file together with the place to go on from.
 */
public class Follow {
    static final String SERVERS = variable("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092");
    static final String PREFIX = variable("BOXOFFICE_TOPIC_PREFIX", "");
    static final Map<String, Integer> SIGN = Map.of("purchase_confirmed", 1, "purchase_cancelled", -1);
    static final ObjectMapper JSON = new ObjectMapper();

    record Event(long seq, long sold) {}

    record Kept(long next, Map<String, Event> events) {}

    /** A partition's events, and the offset of the record that comes next. */
    static class Partition {
        final Path file;
        final Map<String, Event> events;
        long next;

        Partition(Path folder, int number) throws IOException {
            file = folder.resolve(number + ".json");
            Kept kept = Files.exists(file) ? JSON.readValue(file.toFile(), Kept.class) : new Kept(0, Map.of());
            events = new HashMap<>(kept.events());
            next = kept.next();
        }

        /** Takes exactly seq + 1 of an event, and ignores the rest. */
        void take(JsonNode fact) {
            String id = fact.path("event_id").asText();
            long seq = fact.path("seq").asLong();
            Event event = events.getOrDefault(id, new Event(0, 0));
            if (seq > event.seq() + 1) {
                System.err.printf("%s: %d after %d. Begun in the middle?%n", id, seq, event.seq());
            }
            if (seq != event.seq() + 1) {
                return;
            }
            String type = fact.path("type").asText();
            // What was held and is given back was not sold.
            int sign = fact.path("held").asBoolean() ? 0 : SIGN.getOrDefault(type, 0);
            int tickets = sign * fact.path("tickets").size();
            events.put(id, new Event(seq, event.sold() + tickets));
            System.out.printf("%s %d %s %d%n", id, seq, type, event.sold() + tickets);
        }

        /** Replaces the file at once: whenever we die, what is made and the place fit together. */
        void keep() throws IOException {
            Path own = file.resolveSibling(file.getFileName() + "." + ProcessHandle.current().pid());
            JSON.writeValue(own.toFile(), new Kept(next, events));
            Files.move(own, file, StandardCopyOption.ATOMIC_MOVE);
        }
    }

    public static void main(String[] args) throws IOException {
        Path folder = Files.createDirectories(Path.of(args[0]));
        Map<TopicPartition, Partition> owned = new HashMap<>();
        Map<String, Object> config = Map.of(
                "bootstrap.servers", SERVERS,
                "group.id", PREFIX + "follow-java",
                "enable.auto.commit", false,
                // Who dies is replaced after so long.
                "session.timeout.ms", 10_000,
                // A place that is not there belongs to another ledger.
                "auto.offset.reset", "none");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(PREFIX + "purchase-results"), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    for (TopicPartition partition : partitions) {
                        owned.put(partition, opened(folder, partition.partition()));
                        consumer.seek(partition, owned.get(partition).next);
                    }
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
            });
            while (true) {
                var records = consumer.poll(Duration.ofMillis(500));
                for (TopicPartition tp : records.partitions()) {
                    Partition partition = owned.get(tp);
                    for (var record : records.records(tp)) {
                        partition.take(JSON.readTree(record.value()));
                        partition.next = record.offset() + 1;
                    }
                    partition.keep();
                }
            }
        }
    }

    static Partition opened(Path folder, int number) {
        try {
            return new Partition(folder, number);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    static String variable(String name, String otherwise) {
        return Objects.requireNonNullElse(System.getenv(name), otherwise);
    }
}
