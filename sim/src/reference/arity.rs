//! How many words a command takes, its name included.

/// At least and at most; `None`: the reference does not know the command.
pub fn of(name: &[u8]) -> Option<(usize, usize)> {
    const ANY: usize = usize::MAX;
    Some(match name {
        b"multi" | b"exec" | b"discard" | b"unwatch" | b"dbsize" | b"randomkey" => (1, 1),
        b"ping" => (1, 2),
        b"flushall" | b"flushdb" => (1, ANY),
        b"get" | b"getdel" | b"strlen" | b"incr" | b"decr" | b"type" | b"persist" | b"ttl" | b"pttl"
        | b"expiretime" | b"pexpiretime" | b"llen" | b"keys" | b"select" | b"echo" => (2, 2),
        b"getex" | b"mget" | b"del" | b"unlink" | b"exists" | b"touch" | b"watch" => (2, ANY),
        b"lpop" | b"rpop" => (2, 3),
        b"setnx" | b"getset" | b"append" | b"incrby" | b"decrby" | b"incrbyfloat" | b"rename"
        | b"renamenx" | b"move" | b"swapdb" | b"rpoplpush" | b"lindex" => (3, 3),
        b"set" | b"mset" | b"msetnx" | b"expire" | b"pexpire" | b"expireat" | b"pexpireat" | b"copy"
        | b"lpush" | b"rpush" | b"lpushx" | b"rpushx" | b"lpos" | b"blpop" | b"brpop" => (3, ANY),
        b"setex" | b"psetex" | b"getrange" | b"substr" | b"setrange" | b"lrange" | b"lset" | b"lrem"
        | b"ltrim" | b"brpoplpush" => (4, 4),
        b"zcard" | b"dump" => (2, 2),
        b"zscore" => (3, 3),
        b"zpopmin" | b"zpopmax" | b"zrandmember" => (2, ANY),
        b"zrem" | b"zmscore" | b"zrank" | b"zrevrank" | b"zscan" | b"zunion" | b"zinter" | b"zdiff"
        | b"zintercard" | b"bzpopmin" | b"bzpopmax" => (3, ANY),
        b"restore" => (4, ANY),
        b"migrate" => (6, ANY),
        b"zincrby" | b"zcount" | b"zlexcount" | b"zremrangebyrank" | b"zremrangebyscore"
        | b"zremrangebylex" => (4, 4),
        b"zadd" | b"zrange" | b"zrangebyscore" | b"zrevrangebyscore" | b"zrevrange" | b"zrangebylex"
        | b"zrevrangebylex" | b"zmpop" | b"zunionstore" | b"zinterstore" | b"zdiffstore" | b"geodist" => {
            (4, ANY)
        }
        b"zrangestore" | b"bzmpop" | b"geoadd" | b"georadiusbymember" => (5, ANY),
        b"georadius" => (6, ANY),
        b"geosearch" => (7, ANY),
        b"geosearchstore" => (8, ANY),
        b"msetex" | b"lmpop" => (4, ANY),
        b"linsert" | b"lmove" => (5, 5),
        b"blmpop" => (5, ANY),
        b"blmove" => (6, 6),
        b"hgetall" | b"hkeys" | b"hvals" | b"hlen" | b"smembers" | b"scard" => (2, 2),
        b"hget" | b"hexists" | b"hstrlen" | b"sismember" => (3, 3),
        b"hsetnx" | b"hincrby" | b"smove" => (4, 4),
        b"hrandfield" | b"spop" | b"srandmember" | b"sinter" | b"sunion" | b"sdiff" => (2, ANY),
        b"hmget" | b"hdel" | b"hscan" | b"sadd" | b"srem" | b"smismember" | b"sscan" | b"sinterstore"
        | b"sunionstore" | b"sdiffstore" | b"sintercard" => (3, ANY),
        b"hset" | b"hmset" => (4, ANY),
        b"httl" | b"hpttl" | b"hpersist" | b"hgetdel" => (5, ANY),
        b"hexpire" | b"hpexpire" | b"hsetex" => (6, ANY),
        b"bitcount" | b"bitfield" | b"bitfield_ro" | b"pfadd" | b"pfcount" | b"pfmerge" | b"sort"
        | b"sort_ro" => (2, ANY),
        b"getbit" => (3, 3),
        b"bitpos" => (3, ANY),
        b"setbit" => (4, 4),
        b"bitop" => (4, ANY),
        b"xlen" => (2, 2),
        b"xgroup" | b"xinfo" => (2, ANY),
        b"xdel" | b"xsetid" | b"xpending" => (3, ANY),
        b"xrange" | b"xrevrange" | b"xtrim" | b"xread" | b"xack" => (4, ANY),
        b"xadd" | b"xdelex" => (5, ANY),
        b"xackdel" | b"xclaim" | b"xautoclaim" => (6, ANY),
        b"xreadgroup" => (7, ANY),
        _ => return None,
    })
}
