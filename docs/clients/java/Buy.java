import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Buys tickets and waits for the answer: java Buy EVENT QUANTITY BUYER REQUEST_ID.
 *
 * <p>Prints the fact. Ends with 0 if tickets were sold or are held, 3 if not, 4 if there is no answer yet: ask again, with
 * the same id.
 */
public class Buy {
    static final String SERVERS = variable("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092");
    static final String PREFIX = variable("BOXOFFICE_TOPIC_PREFIX", "");
    static final String REQUESTS = PREFIX + "purchase-requests";
    static final String RESULTS = PREFIX + "purchase-results";
    static final Set<String> GOT = Set.of("purchase_confirmed", "purchase_held");
    static final Set<String> REMEMBERED =
            Set.of("purchase_confirmed", "purchase_held", "hold_expired", "purchase_cancelled", "purchase_rejected");
    static final Set<String> REFUSALS = Set.of("purchase_rejected", "command_unreadable");
    static final Duration TIMEOUT = Duration.ofSeconds(60);
    static final Duration AGAIN = Duration.ofSeconds(5);
    static final ObjectMapper JSON = new ObjectMapper();

    record Purchase(String request_id, String event_id, String buyer, int quantity) {}

    record Place(int partition, long offset) {}

    /** A purchase and what was read of it. Each time that it is sent makes a copy, known by the place where it lies. */
    static class Request {
        final Purchase command;
        final List<Place> copies = new ArrayList<>();
        final Map<Place, JsonNode> refused = new HashMap<>();
        JsonNode remembered;

        Request(Purchase command) {
            this.command = command;
        }

        /** Remembers what may be an answer: facts come in any order, and before one knows where the copy lies. */
        void read(JsonNode fact) {
            JsonNode source = fact.path("source");
            if (isRememberedBy(fact)) {
                remembered = fact;
            } else if (REFUSALS.contains(fact.path("type").asText())) {
                refused.put(new Place(source.path("partition").asInt(), source.path("offset").asLong()), fact);
            }
        }

        /** What is remembered, whichever copy it was of; or a refusal that is not, once all copies are refused. */
        Optional<JsonNode> answer() {
            if (remembered != null) {
                return Optional.of(remembered);
            }
            boolean allRefused = copies.stream().allMatch(refused::containsKey);
            return copies.isEmpty() || !allRefused ? Optional.empty() : Optional.of(refused.get(copies.get(0)));
        }

        /** Whether it says for good what became of this purchase. The id alone might be another's purchase. */
        private boolean isRememberedBy(JsonNode fact) {
            String requestId = fact.path("request_id").asText();
            // What another request has made of it may be about some of its tickets.
            boolean isOther = !requestId.equals(command.request_id());
            return REMEMBERED.contains(fact.path("type").asText())
                    && fact.path("purchase").asText(requestId).equals(command.request_id())
                    && fact.path("event_id").asText().equals(command.event_id())
                    && fact.path("buyer").asText().equals(command.buyer())
                    && fact.path("seq").asLong() != 0
                    && !fact.path("reason").asText().equals("request_id_reused")
                    && (isOther || fact.path("quantity").asInt() == command.quantity());
        }
    }

    public static void main(String[] args) throws Exception {
        Request request = new Request(new Purchase(args[3], args[0], args[2], Integer.parseInt(args[1])));
        Optional<JsonNode> fact = buy(request);
        fact.ifPresentOrElse(System.out::println, () ->
                System.err.println("No answer yet: ask again with the same request id."));
        System.exit(fact.map(one -> GOT.contains(one.path("type").asText()) ? 0 : 3).orElse(4));
    }

    /** Sends the request, again if there is no answer for a while; empty if there is none at all. */
    static Optional<JsonNode> buy(Request request) throws Exception {
        // Their defaults are as they should be: murmur2 of the key, acks=all, idempotent.
        Map<String, Object> config = Map.of("bootstrap.servers", SERVERS);
        String key = request.command.event_id();
        String value = JSON.writeValueAsString(request.command);
        long end = System.nanoTime() + TIMEOUT.toNanos();
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
                var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            readFromNow(consumer);
            while (System.nanoTime() < end) {
                var copy = producer.send(new ProducerRecord<>(REQUESTS, key, value)).get();
                request.copies.add(new Place(copy.partition(), copy.offset()));
                long again = System.nanoTime() + AGAIN.toNanos();
                while (System.nanoTime() < again) {
                    for (var record : consumer.poll(Duration.ofMillis(200))) {
                        request.read(JSON.readTree(record.value()));
                    }
                    if (request.answer().isPresent()) {
                        return request.answer();
                    }
                }
            }
        }
        return Optional.empty();
    }

    /** Goes to the ends that all partitions have now, before anything is sent. */
    static void readFromNow(KafkaConsumer<String, String> consumer) {
        List<TopicPartition> partitions = consumer.partitionsFor(RESULTS).stream()
                .map(one -> new TopicPartition(RESULTS, one.partition()))
                .toList();
        consumer.assign(partitions);
        consumer.endOffsets(partitions).forEach(consumer::seek);
    }

    static String variable(String name, String otherwise) {
        return Objects.requireNonNullElse(System.getenv(name), otherwise);
    }
}
