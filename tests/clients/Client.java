// Dials as a Java program does, by NIO, whose sockets are of both families: WAY,HOST,PORT for each argument, and a line for each.
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.net.URLConnection;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SocketChannel;

class Client {
    public static void main(String[] arguments) {
        for (String argument : arguments) {
            String[] words = argument.split(",");
            try {
                System.out.println(dial(words[0], words[1], Integer.parseInt(words[2])));
            } catch (Exception error) {
                System.out.println(error);
            }
        }
        System.exit(0);
    }

    static String dial(String way, String host, int port) throws Exception {
        if (way.equals("http")) {
            String name = host.contains(":") ? "[" + host + "]" : host;
            URLConnection connection = URI.create("http://" + name + ":" + port + "/").toURL().openConnection();
            connection.setConnectTimeout(5000);
            connection.setReadTimeout(5000);
            try (InputStream reply = connection.getInputStream()) {
                return new String(reply.readAllBytes()).strip();
            }
        }
        InetSocketAddress to = new InetSocketAddress(InetAddress.getByName(host), port);
        ByteBuffer buffer = ByteBuffer.allocate(512);
        if (way.equals("tcp")) {
            try (SocketChannel channel = SocketChannel.open(to)) {
                channel.write(ByteBuffer.wrap("GET / HTTP/1.0\r\n\r\n".getBytes()));
                String[] lines = new String(Channels.newInputStream(channel).readAllBytes()).strip().split("\n");
                return lines[lines.length - 1];
            }
        }
        try (DatagramChannel channel = DatagramChannel.open()) {
            ByteBuffer question = ByteBuffer.wrap("q".getBytes());
            SocketAddress peer;
            if (way.equals("udp")) {
                channel.connect(to);
                channel.write(question);
                peer = channel.receive(buffer);
            } else {
                channel.send(question, to);
                peer = channel.receive(buffer);
            }
            InetSocketAddress from = (InetSocketAddress) peer;
            String text = new String(buffer.array(), 0, buffer.position());
            return text + " from " + from.getAddress().getHostAddress() + " " + from.getPort();
        }
    }
}
