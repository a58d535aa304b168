// Dials as a Node.js program does: WAY,HOST,PORT for each argument, and a line for each.
const dgram = require("node:dgram");
const http = require("node:http");
const net = require("node:net");

function dial(way, host, port) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("timeout")), 5000).unref();
    const collect = (stream, last) => {
      let text = "";
      stream.on("data", (part) => (text += part));
      stream.on("end", () => resolve(last(text)));
      stream.on("error", reject);
    };
    if (way === "http") {
      const get = http.get({ host, port, agent: false }, (reply) => collect(reply, (text) => text.trim()));
      get.on("error", reject);
    } else if (way === "tcp") {
      const socket = net.connect({ host, port });
      socket.write("GET / HTTP/1.0\r\n\r\n");
      collect(socket, (text) => text.trim().split("\n").at(-1));
    } else {
      const socket = dgram.createSocket(net.isIPv6(host) ? "udp6" : "udp4");
      socket.on("error", reject);
      socket.on("message", (text, peer) => {
        socket.close();
        resolve(`${text} from ${peer.address} ${peer.port}`);
      });
      if (way === "udp") {
        socket.connect(port, host, () => socket.send("q"));
      } else {
        socket.send("q", port, host);
      }
    }
  });
}

async function main() {
  for (const argument of process.argv.slice(2)) {
    const [way, host, port] = argument.split(",");
    console.log(await dial(way, host, Number(port)).catch(String));
  }
}

main().then(() => process.exit(0));
