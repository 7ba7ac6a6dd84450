package lastword.compat.differential;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.zip.CRC32C;

/** Damages a cleaned copy with a valid checksum, to show that the comparison notices. */
final class Mutation {
    private static int turn;

    private Mutation() {
    }

    /** Changes one field of the last batch of the first segment that has one; which field, goes round. */
    static void apply(Replica replica) throws Exception {
        for (File file : replica.files(".log")) {
            var batches = LogView.batches(file);
            if (batches.isEmpty()) {
                continue;
            }
            int position = batches.get(batches.size() - 1).position();
            byte[] bytes = Files.readAllBytes(file.toPath());
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            switch (turn++ % 6) {
                case 0 -> buffer.putInt(position + 12, buffer.getInt(position + 12) + 1);
                case 1 -> buffer.putShort(position + 21, (short) (buffer.getShort(position + 21) ^ 0x08));
                case 2 -> buffer.putLong(position + 35, buffer.getLong(position + 35) + 1);
                case 3 -> buffer.putLong(position + 27, buffer.getLong(position + 27) + 1);
                case 4 -> buffer.putShort(position + 51, (short) (buffer.getShort(position + 51) + 1));
                default -> buffer.putInt(position + 53, buffer.getInt(position + 53) + 1);
            }
            CRC32C checksum = new CRC32C();
            checksum.update(bytes, position + 21, bytes.length - position - 21);
            buffer.putInt(position + 17, (int) checksum.getValue());
            Files.write(file.toPath(), bytes);
            return;
        }
    }
}
