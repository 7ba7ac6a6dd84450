import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.ConfigResource;

/**
 * Topics BROKERS create TOPIC PARTITIONS [name=value]... ; Topics BROKERS alter TOPIC name=value...
 *
 * <p>Prints the milliseconds since 1970 at which the broker's answer arrived: a cleaning is timed from there.
 */
final class Topics {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        try (Admin admin = Admin.create(settings)) {
            boolean create = args[1].equals("create");
            Map<String, String> configs = new HashMap<>();
            for (int i = create ? 4 : 3; i < args.length; i++) {
                int equals = args[i].indexOf('=');
                configs.put(args[i].substring(0, equals), args[i].substring(equals + 1));
            }
            if (create) {
                NewTopic topic = new NewTopic(args[2], Optional.of(Integer.parseInt(args[3])), Optional.of((short) 1));
                admin.createTopics(List.of(topic.configs(configs))).all().get(120, TimeUnit.SECONDS);
            } else {
                List<AlterConfigOp> operations = new ArrayList<>();
                configs.forEach((name, value) -> operations.add(
                        new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
                ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, args[2]);
                admin.incrementalAlterConfigs(Map.of(topic, operations)).all().get(60, TimeUnit.SECONDS);
            }
            System.out.println(System.currentTimeMillis());
        }
    }
}
